package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A peer is what requests are sent to: a process, or some that work together.
// The server alone, without a proxy, has none that count.
type peer struct {
	name    string
	mode    string // of a gateway
	url     string
	cmds    []*exec.Cmd
	metrics []string // where its Go processes tell of their allocations

	began time.Time
	ready time.Duration // from its start to its first answer
	idle  int           // its resident memory then, in KiB
}

// Taken is what a peer took for a sample.
type taken struct {
	sample
	cpu    time.Duration
	allocs float64
}

// send sends requests for that long, and says what they took.
func (p *peer) send(c *client, slot time.Duration) (t taken, err error) {
	looking, err := p.allocs()
	if err != nil {
		return t, err
	}
	allocs, err := p.allocs()
	if err != nil {
		return t, err
	}
	cpu, err := p.cpu()
	if err != nil {
		return t, err
	}
	if t.sample, err = c.send(p.url, slot); err != nil {
		return t, err
	}
	after, err := p.cpu()
	if err != nil {
		return t, err
	}
	t.cpu, looking = after-cpu, allocs-looking
	now, err := p.allocs()
	t.allocs = max(now-allocs-looking, 0)
	return t, err
}

// wait waits until a peer answers.
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

// allocs is the number of objects that the peer has allocated.
func (p *peer) allocs() (sum float64, err error) {
	for _, url := range p.metrics {
		n, err := metric(url, "go_memstats_mallocs_total")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		sum += n
	}
	return sum, nil
}

func metric(url, name string) (float64, error) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	value := ""
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value = v
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(value, 64)
}

// tick is the unit of CPU times in /proc; Linux has it at 100 to the second on
// every architecture that Go knows.
const tick = 10 * time.Millisecond

// cpu is the CPU time that the peer has used, in user and system mode.
func (p *peer) cpu() (sum time.Duration, err error) {
	pids, err := p.pids()
	for _, pid := range pids {
		var stat []byte
		if stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		// The second field is a name in brackets, which may hold anything.
		_, rest, _ := strings.Cut(string(stat), ") ")
		var user, system int
		if fields := strings.Fields(rest); len(fields) >= 13 {
			_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
		} else {
			err = fmt.Errorf("%s: unknown form of /proc/*/stat", p.name)
		}
		sum += time.Duration(user+system) * tick
	}
	return sum, err
}

// pids are the processes of a peer with their children: nginx has workers.
func (p *peer) pids() (all []int, err error) {
	for _, cmd := range p.cmds {
		pid := cmd.Process.Pid
		all = append(all, pid)
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		for field := range strings.FieldsSeq(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			all = append(all, child)
		}
	}
	return all, nil
}

// memory is a line of /proc/*/status, as in VmRSS, in KiB.
func (p *peer) memory(name string) (sum int, err error) {
	pids, err := p.pids()
	for _, pid := range pids {
		var status []byte
		if status, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		var kib int
		if _, err = fmt.Sscan(rest, &kib); err != nil {
			return 0, err
		}
		sum += kib
	}
	return sum, err
}
