//go:build !linux

package e2e

import "syscall"

// endsWithUs has nothing to offer here: the program ends when the test kills it.
func endsWithUs() *syscall.SysProcAttr { return nil }
