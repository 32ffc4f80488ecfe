package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A peer is a process that requests are sent to.
type peer struct {
	name string
	url  string
	cmd  *exec.Cmd

	began time.Time
	ready time.Duration // from its start to its first answer
	idle  int           // its resident memory then, in KiB
}

// startAll starts the server, the bare proxy, and a gateway for each binary
// and mode. stop ends whatever was started, also after an error.
func startAll(o *options, dir string) (peers []*peer, stop func(), err error) {
	var all []*peer
	stop = func() {
		for _, p := range all {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait() // it was killed
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	server, err := startOwn(self, "upstream")
	if err != nil {
		return nil, stop, err
	}
	all = append(all, server)
	proxy, err := startOwn(self, "proxy", server.url)
	if err != nil {
		return nil, stop, err
	}
	proxy.name = "httputil.ReverseProxy"
	all = append(all, proxy)
	if err := proxy.wait(); err != nil {
		return nil, stop, err
	}
	binaries, err := gatehouses(o, dir)
	if err != nil {
		return nil, stop, err
	}
	for _, binary := range binaries {
		for _, mode := range o.modes {
			p, err := startGatehouse(binary, mode, server.url, o.policies, dir)
			if err != nil {
				return nil, stop, err
			}
			all = append(all, p)
			if err := p.wait(); err != nil {
				return nil, stop, err
			}
		}
	}
	return all[1:], stop, nil
}

// startOwn starts this program with a subcommand that prints its address.
func startOwn(self string, args ...string) (*peer, error) {
	began := time.Now()
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return &peer{name: args[0], url: "http://" + strings.TrimSpace(line), cmd: cmd, began: began}, nil
}

// gatehouses are the binaries to measure.
func gatehouses(o *options, dir string) ([]string, error) {
	if len(o.binaries) > 0 {
		return o.binaries, nil
	}
	path := filepath.Join(dir, "gatehouse")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/gatehouse")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build gatehouse (run this from the root of the repository): %w", err)
	}
	return []string{path}, nil
}

const (
	apiKey = "an-api-key-of-the-load-run"
	config = `
listen: %s
admin: 127.0.0.1:0
mcpServers:
  load: {url: "%s/mcp"}
identity:
  apiKeys: [{id: alice@org, roles: [staff, dev], sha256: "%x"}]
policy: {mode: %s, bundle: "%s", pollSeconds: 0, timeoutMs: 2000}
audit: {path: "%s"}
`
)

func startGatehouse(binary, mode, server, policies, dir string) (*peer, error) {
	name := filepath.Base(binary) + ", " + mode
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name)
	text := fmt.Sprintf(config, address, server, sha256.Sum256([]byte(apiKey)), mode, policies, file+".jsonl")
	if err := os.WriteFile(file+".yaml", []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "--config", file+".yaml")
	log, err := os.Create(file + ".log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	return &peer{name: name, url: "http://" + address, cmd: cmd, began: time.Now()}, cmd.Start()
}

// wait waits until a process answers.
func (p *peer) wait() error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	err := fmt.Errorf("%s does not answer", p.name)
	for tries := 0; err != nil && tries < 10000; tries++ {
		<-again.C
		var resp *http.Response
		if resp, err = http.Get(p.url); err == nil {
			err = resp.Body.Close()
		}
	}
	if err != nil {
		return err
	}
	p.ready = time.Since(p.began)
	p.idle, err = p.memory("VmRSS")
	return err
}

// tick is the unit of CPU times in /proc; Linux has it at 100 to the second on
// every architecture that Go knows.
const tick = 10 * time.Millisecond

// cpu is the CPU time that the process has used, in user and system mode.
func (p *peer) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	// The second field is a name in brackets, which may hold anything.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: unknown form of /proc/*/stat", p.name)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

// memory is a line of /proc/*/status, as in VmRSS, in KiB.
func (p *peer) memory(name string) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\n"+name+":")
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}
