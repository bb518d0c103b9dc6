//go:build !linux

package app

import "syscall"

// endsWithUs has nothing to add: a child ends when its standard input does.
func endsWithUs() *syscall.SysProcAttr { return nil }
