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
	probe     = syscall.Signal(0)
)

// ownGroup leaves a command as it is: what a process starts does not end with it here.
func ownGroup(*exec.Cmd) {}

// signalGroup reports whether the process was ended. There is no asking for it.
func (p *Process) signalGroup(s os.Signal) bool {
	return s == kill && p.cmd.Process.Kill() == nil
}
