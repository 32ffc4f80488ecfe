//go:build unix

package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// wrappable says why a server cannot be wrapped here.
func wrappable() error { return nil }

// takeSignals takes over all signals: those that are the server's, and hangups.
// None ends this process by itself any longer.
func takeSignals() (forward, hangups <-chan os.Signal) {
	signal.Reset()
	f, h := make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(f, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	signal.Notify(h, syscall.SIGHUP)
	// Writing to a closed pipe is then an error. Ignored, it would be so for the
	// server, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return f, h
}

// endAs ends as a process has ended: it returns with the same code, or dies by the
// same signal.
func endAs(state *os.ProcessState) error {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return dieBy(status.Signal())
	}
	if code := state.ExitCode(); code != 0 {
		return exitCode{code: code}
	}
	return nil
}

// dieBy dies by a signal. The Go runtime would not by all of them, so a shell takes
// the place of this process. Where there is none, the code is the one that shells
// have for it.
func dieBy(s syscall.Signal) error {
	n := strconv.Itoa(int(s))
	_ = syscall.Exec("/bin/sh", []string{"sh", "-c", "ulimit -c 0; kill -" + n + " $$"}, nil)
	return exitCode{fmt.Errorf("the server died by signal %s", n), 128 + int(s)}
}
