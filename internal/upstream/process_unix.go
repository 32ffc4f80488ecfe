//go:build unix

package upstream

import (
	"os"
	"os/exec"
	"syscall"
)

const (
	interrupt = syscall.SIGINT
	quit      = syscall.SIGQUIT
	terminate = syscall.SIGTERM
	kill      = syscall.SIGKILL
	probe     = syscall.Signal(0) // asks whether anybody is there
)

// ownGroup has the command start in a process group of its own, which can be ended
// as a whole.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithUs(cmd.SysProcAttr)
}

// signalGroup reports whether there was anybody to get the signal. While anybody is
// left in the group, its number is no other process's.
func (p *Process) signalGroup(s os.Signal) bool {
	n, ok := s.(syscall.Signal)
	return ok && syscall.Kill(-p.cmd.Process.Pid, n) == nil
}
