package harness

import "syscall"

// childAttributes puts a child into a process group of its own and ends it with the test process, even if
// that is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
