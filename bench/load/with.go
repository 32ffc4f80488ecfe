package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
)

// with runs a command beside an enforcing gateway, which it finds by URL and
// KEY in its environment.
func with(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("with needs a command")
	}
	dir, err := os.MkdirTemp("", "gatehouse-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f, err := startServer(dir)
	defer f.stop()
	if err != nil {
		return err
	}
	binary, err := buildGatehouse(dir)
	if err != nil {
		return err
	}
	if err := f.build(binary, "policies"); err != nil {
		return err
	}
	if err := f.gatehouse(binary, "enforce"); err != nil {
		return err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "URL="+f.peers[0].url+"/mcp", "KEY="+apiKey)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return cmd.Run()
}
