package process

import "syscall"

// endsWithUs makes a program end when this process does, however that ends, and not by the
// terminal's Ctrl-C.
func endsWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
