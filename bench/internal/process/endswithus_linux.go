package process

import (
	"os"
	"syscall"
)

// endsWithUs makes a program end when this process does, however that ends, and not by the
// terminal's Ctrl-C.
func endsWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// kill ends a program, and what it has started.
func kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) } // it may have ended
