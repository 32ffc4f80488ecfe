package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A field is all that takes part in a run.
type field struct {
	dir, self string
	server    string // its URL
	bundle    string
	peers     []*peer
	started   []*exec.Cmd
}

const bare = "`httputil.ReverseProxy`"

// startAll starts the server, the bare proxy, nginx, a gateway for each binary
// and mode, and the proxy that asks OPA. What is returned is to be stopped, also
// after an error.
func startAll(o *options, dir string) (f *field, err error) {
	f, err = startServer(dir)
	if err != nil {
		return f, err
	}
	f.peers = append(f.peers, &peer{name: "no proxy", url: f.server})
	if err := f.own(bare, f.server); err != nil {
		return f, err
	}
	if o.nginx != "" {
		if err := f.nginx(o.nginx); err != nil {
			return f, err
		}
	}
	binaries := o.binaries
	if len(binaries) == 0 {
		binary, err := buildGatehouse(dir)
		if err != nil {
			return f, err
		}
		binaries = []string{binary}
	}
	if err := f.build(binaries[0], o.policies); err != nil {
		return f, err
	}
	for _, binary := range binaries {
		for _, mode := range o.modes {
			if err := f.gatehouse(binary, mode); err != nil {
				return f, err
			}
		}
	}
	if o.opa != "" {
		err = f.opa(o.opa)
	}
	return f, err
}

// startServer starts the server that all others stand in front of.
func startServer(dir string) (*field, error) {
	f := &field{dir: dir}
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	f.self = self
	f.server, _, err = f.startOwn("upstream", loopback)
	return f, err
}

// stop ends all processes. nginx ends its workers itself.
func (f *field) stop() {
	for _, cmd := range f.started {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it was told to end
		kill.Stop()
	}
}

// startOwn starts this program with a subcommand that prints its address.
func (f *field) startOwn(args ...string) (url string, cmd *exec.Cmd, err error) {
	cmd = exec.Command(f.self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, err
	}
	f.started = append(f.started, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return "http://" + strings.TrimSpace(line), cmd, nil
}

// start starts a program whose log goes to a file.
func (f *field) start(log string, name string, args ...string) (*exec.Cmd, error) {
	file, err := os.Create(filepath.Join(f.dir, log+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f.started = append(f.started, cmd)
	return cmd, nil
}

// add adds a peer, once it answers.
func (f *field) add(p *peer) error {
	f.peers = append(f.peers, p)
	return p.wait()
}

func (f *field) own(name, server string) error {
	began := time.Now()
	url, cmd, err := f.startOwn("proxy", server)
	if err != nil {
		return err
	}
	return f.add(&peer{name: name, url: url, cmds: []*exec.Cmd{cmd}, metrics: []string{url + "/metrics"}, began: began})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// buildGatehouse builds the gateway of this checkout.
func buildGatehouse(dir string) (string, error) {
	path := filepath.Join(dir, "gatehouse")
	cmd := exec.Command("go", "build", "-o", path, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gatehouse: %w\n%s", err, out)
	}
	return path, nil
}

// build makes the bundle that all policies come from.
func (f *field) build(binary, policies string) error {
	f.bundle = filepath.Join(f.dir, "bundle.tar.gz")
	out, err := exec.Command(binary, "policy", "build", policies, "-o", f.bundle).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the bundle: %w\n%s", err, out)
	}
	return nil
}
