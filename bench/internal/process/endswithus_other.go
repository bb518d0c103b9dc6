//go:build !linux

package process

import "syscall"

// endsWithUs has nothing to offer here: the program ends when this process closes it.
func endsWithUs() *syscall.SysProcAttr { return nil }
