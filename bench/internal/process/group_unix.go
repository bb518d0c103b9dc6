//go:build unix

package process

import "syscall"

// group keeps the terminal's Ctrl-C from a child: it is for its parent, who ends it.
func group() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
