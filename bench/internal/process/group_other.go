//go:build !unix

package process

import "syscall"

func group() *syscall.SysProcAttr { return nil }
