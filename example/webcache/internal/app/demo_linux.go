package app

import "syscall"

// endsWithUs makes a child end when this process does, however that ends, and not by the
// terminal's Ctrl-C, which is for this process alone.
func endsWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
