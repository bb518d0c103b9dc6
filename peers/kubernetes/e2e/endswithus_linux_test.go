package e2e

import "syscall"

// endsWithUs makes a program end when this process does, however that ends.
func endsWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
