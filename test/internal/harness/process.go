package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a child of the test that is stopped when the test ends.
type Process struct {
	name   string
	cmd    *exec.Cmd
	output Output
	done   chan struct{} // closed once the child has ended
}

// Start starts a command with its output captured. It becomes the leader of a process group, which gets
// SIGTERM when the test ends and SIGKILL if that does not help. Where the test has failed, the last of the
// output is logged.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{name: filepath.Base(cmd.Path), cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	cmd.Stderr = &p.output
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = patience
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Log(p.Err())
		}
	})
	return p
}

// run starts the command and waits for it on one system thread: where the system can tie a child's life to
// its parent's, it ties it to the thread that started the child.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // it is in ProcessState
	}
}

// Done is closed once the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended and what it last wrote, for use after Done.
func (p *Process) Err() error {
	return fmt.Errorf("%s: %v\n%s", p.name, p.cmd.ProcessState, p.output.Tail(8<<10))
}

// Stop ends the child. It may be called more than once.
func (p *Process) Stop() {
	group := -p.cmd.Process.Pid
	select {
	case <-p.done:
		return
	default:
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	}
}

// Await waits until a condition holds. The test fails if the child ends before, or takes too long.
func (p *Process) Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if err := p.await(what, holds); err != nil {
		t.Fatal(err)
	}
}

func (p *Process) await(what string, holds func() bool) error {
	deadline := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-p.done:
			return p.Err()
		case <-deadline:
			return fmt.Errorf("%s: waited %v for %s\n%s", p.name, patience, what, p.output.Tail(8<<10))
		}
	}
	return nil
}

// An Output is what a child has written so far. Any number of goroutines may use it.
type Output struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

// Write takes the child's bytes.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.Write(b)
}

// String is all of the output.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.String()
}

// Tail is the last n bytes of the output.
func (o *Output) Tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}

// Signal sends a signal to the child alone.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// PeakMemory is the largest resident memory that the child ever had, in bytes.
func (p *Process) PeakMemory(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "VmHWM:")
	value, _, _ = strings.Cut(value, " kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// Output is all that the child has written so far.
func (p *Process) Output() string { return p.output.String() }
