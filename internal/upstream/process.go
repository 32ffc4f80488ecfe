package upstream

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A Command says how to start a server that speaks on its standard input and output.
type Command struct {
	Path   string   // looked up in PATH unless it has a separator
	Args   []string // without the program's own name
	Env    []string // the whole environment, NAME=value
	Dir    string   // "": the gateway's own
	Limit  int      // bytes of one message
	Memory int64    // bytes that the process and its children may use together; 0: any
	// Stderr is the process's own; nil: what it says there goes to the log.
	Stderr *os.File
	Log    *slog.Logger // names the server
}

// A Process is a running server. It is a [Channel]. What it started ends with it,
// unless that has left its process group.
type Process struct {
	cmd     *exec.Cmd
	in      *os.File // what it reads
	out     *os.File
	err     *os.File // nil: not ours
	lines   *mcp.LineReader
	ended   chan struct{} // closed once the process has ended, and its group
	close   func()
	over    atomic.Bool // it used more memory than it may
	helpers sync.WaitGroup
}

// How long an ending process may take to notice that its input is closed, and then
// that it is asked to end; and what it left, when it has ended.
const (
	closeGrace = 2 * time.Second
	termGrace  = 3 * time.Second
	leftGrace  = time.Second
)

// Start starts the process.
func (c *Command) Start() (*Process, error) {
	var pipes [6]*os.File
	for i := 0; i < len(pipes); i += 2 {
		if i == 4 && c.Stderr != nil {
			break
		}
		var err error
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			closeAll(pipes[:]...)
			return nil, err
		}
	}
	stderr := c.Stderr
	if stderr == nil {
		stderr = pipes[5]
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir = append([]string{}, c.Env...), c.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0], pipes[3], stderr
	ownGroup(cmd)
	p := &Process{
		cmd: cmd, in: pipes[1], out: pipes[2], err: pipes[4], ended: make(chan struct{}),
	}
	p.lines = mcp.NewLineReader(remains{p}, c.Limit)
	p.close = sync.OnceFunc(p.end)
	started := make(chan error)
	go p.run(started)
	err := <-started
	closeAll(pipes[0], pipes[3], pipes[5])
	if err != nil {
		closeAll(pipes[1], pipes[2], pipes[4])
		return nil, err
	}
	if p.err != nil {
		p.helpers.Go(func() { c.logLines(p.err) })
	}
	if c.Memory > 0 {
		p.helpers.Go(func() { p.watchMemory(c.Memory) })
	}
	return p, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// run starts the process and sees to its end.
func (p *Process) run(started chan<- error) {
	defer bindThread()()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // its state tells
	if p.signalGroup(terminate) {
		p.awaitGroup()
		p.signalGroup(kill)
	}
	// For who reads just now: see remains.
	_ = p.out.SetReadDeadline(time.Now().Add(leftGrace))
	if p.err != nil {
		_ = p.err.SetReadDeadline(time.Now().Add(leftGrace))
	}
	close(p.ended)
}

// remains is what a process says. What it said before it ended is in the pipe, however
// late that is read; nothing more is waited for, though whoever has left the group
// may hold the other end.
type remains struct{ p *Process }

func (r remains) Read(b []byte) (int, error) {
	select {
	case <-r.p.ended:
		_ = r.p.out.SetReadDeadline(time.Now().Add(leftGrace))
	default:
	}
	return r.p.out.Read(b)
}

// awaitGroup gives what the process left some time to end.
func (p *Process) awaitGroup() {
	late := time.NewTimer(leftGrace)
	defer late.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for p.signalGroup(probe) {
		select {
		case <-look.C:
		case <-late.C:
			return
		}
	}
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed once the process has ended, and with it all that it left in its
// group. State is then valid.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// State tells how the process ended.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Signal sends a signal as it would come from elsewhere: what terminals send, to the
// process and its group; any other to the process alone.
func (p *Process) Signal(s os.Signal) {
	if s == interrupt || s == quit {
		p.signalGroup(s)
		return
	}
	_ = p.cmd.Process.Signal(s) // it may have ended
}

// Read implements [Channel].
func (p *Process) Read() (string, error) {
	line, err := p.lines.Next()
	if err == nil || errors.Is(err, mcp.ErrTooLong) || errors.Is(err, mcp.ErrEndless) {
		return line, err
	}
	select { // for how it ended
	case <-p.ended:
	case <-time.After(leftGrace):
		return "", errors.New("it closed its output")
	}
	switch {
	case p.over.Load():
		return "", errors.New("it used more memory than it may")
	case p.State().Success():
		return "", io.EOF
	}
	return "", errors.New(p.State().String())
}

// Write implements [Channel].
func (p *Process) Write(text string) error {
	if _, err := io.WriteString(p.in, mcp.OneLine(text)+"\n"); err != nil {
		return errors.New("it closed its input")
	}
	return nil
}

// CloseWrite closes the process's input, which asks it to end.
func (p *Process) CloseWrite() error { return p.in.Close() }

// Close implements [Channel]: it closes the process's input, asks it to end, and
// makes it, with some time between.
func (p *Process) Close() error {
	p.close()
	return nil
}

func (p *Process) end() {
	_ = p.in.Close()
	for _, next := range []struct {
		grace  time.Duration
		signal os.Signal
	}{{closeGrace, terminate}, {termGrace, kill}} {
		late := time.NewTimer(next.grace)
		select {
		case <-p.ended:
		case <-late.C:
			p.signalGroup(next.signal)
		}
		late.Stop()
	}
	<-p.ended
	_ = p.out.Close()
	p.helpers.Wait()
}

// maxLine bounds what the log takes of one line of a server.
const maxLine = 4096

// logLines logs what the server says for people to read.
func (c *Command) logLines(r *os.File) {
	defer func() { _ = r.Close() }()
	lines := mcp.NewLineReader(r, maxLine)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, mcp.ErrTooLong), errors.Is(err, mcp.ErrEndless):
			c.Log.Info("server says", "line", fmt.Sprintf("(more than %d bytes)", maxLine))
		case err != nil:
			return
		default:
			c.Log.Info("server says", "line", line)
		}
	}
}

// memoryInterval is how often a process's memory is looked at.
const memoryInterval = 2 * time.Second

// watchMemory ends a process that uses more memory than it may.
func (p *Process) watchMemory(most int64) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-tick.C:
		}
		if residentMemory(p.cmd.Process.Pid) > most {
			p.over.Store(true)
			p.signalGroup(kill)
			return
		}
	}
}

// inherited are the variables that a server gets of the gateway's environment: those
// that the official clients pass on. None of them is a secret.
var inherited = []string{"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}

// Environ is the environment of a server: what programs need to run at all, and what
// is configured for it.
func Environ(configured map[string]string) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range configured {
		env = append(env, name+"="+value) // of two, the last counts
	}
	return env
}
