package main

import (
	"errors"
	"os"
)

// wrappable says that a server cannot be wrapped as if the wrapper were not there:
// what it starts would not end with it, and there are no signals to hand on.
func wrappable() error {
	return errors.New("gatehouse wrap is not available on Windows; put the server behind gatehouse serve, or run it in WSL")
}

func takeSignals() (forward, hangups <-chan os.Signal) { return nil, nil }

func endAs(*os.ProcessState) error { return nil }
