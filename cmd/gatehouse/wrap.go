package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	osuser "os/user"
	"strconv"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/bridge"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/upstream"
	"github.com/gatehouse-mcp/gatehouse/policies"
)

// wrapFlags are the flags of gatehouse wrap that say how a server is wrapped.
type wrapFlags struct {
	config.WrapFlags
	config string
	user   string
	roles  []string
	log    string
}

func wrapCommand() *cobra.Command {
	var f wrapFlags
	var in install
	cmd := &cobra.Command{
		Use:   "wrap [flags] -- COMMAND [ARGUMENTS]",
		Short: "Put the policy around one stdio server",
		Args: func(_ *cobra.Command, args []string) error {
			if in.wanted() == (len(args) > 0) {
				return errors.New("give the command of a server, as in gatehouse wrap -- npx -y SERVER, or --install or --uninstall")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wrappable(); err != nil {
				return err
			}
			if in.wanted() {
				return in.run(cmd, &f)
			}
			w, err := openWrap(&f)
			if err != nil {
				return err
			}
			return w.run(cmd.Context().Done(), args)
		},
	}
	f.add(cmd)
	in.add(cmd)
	cmd.Flags().SetInterspersed(false) // the server's flags are its own
	return cmd
}

func (f *wrapFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "YAML `file` with more settings: policy, deny, audit and limits")
	flags.StringVar(&f.PolicyBundle, "policy-bundle", "", "policy bundle: a .tar.gz `file`, a directory, a URL or an oci:// reference")
	flags.StringVar(&f.PolicyMode, "policy-mode", "", "off, permissive or enforce")
	flags.StringVar(&f.Server, "server", config.DefaultServer, "`name` of the server in the policy's input")
	flags.StringVar(&f.user, "user", "", "`id` of the caller; the local user's name if not given")
	flags.StringArrayVar(&f.roles, "role", nil, "`role` of the caller; may be repeated")
	flags.StringVar(&f.Audit, "audit", "", "`file` of decision records; one in the user's state directory if not given")
	flags.StringVar(&f.log, "log", "", "`file` of the operational log; one beside the records if not given")
}

// caller is the local user, unless the flags say who it is.
func (f *wrapFlags) caller() *identity.Caller {
	c := &identity.Caller{ID: f.user, Roles: append([]string{}, f.roles...), Auth: identity.AuthLocal}
	if c.ID == "" {
		c.ID = strconv.Itoa(os.Getuid())
		if u, err := osuser.Current(); err == nil && u.Username != "" {
			c.ID = u.Username
		}
	}
	return c
}

// A wrapper is a gateway around one process that it starts itself.
type wrapper struct {
	*core
	logFile io.Closer
	server  string
	caller  *identity.Caller
}

// openWrap opens what there is to open before the server is started.
func openWrap(f *wrapFlags) (*wrapper, error) {
	cfg, err := config.LoadWrap(f.config, os.LookupEnv, f.WrapFlags)
	if err != nil {
		return nil, err
	}
	files, err := openWrapFiles(cfg, f)
	if err != nil {
		return nil, err
	}
	c, err := newCore(cfg, policies.FS(), files.records, files.log)
	if err != nil {
		return nil, err
	}
	return &wrapper{core: c, logFile: files.logFile, server: f.Server, caller: f.caller()}, nil
}

// run runs the server until it ends, and then ends as it did. stopped is closed if
// a signal to end came before signals were taken over.
func (w *wrapper) run(stopped <-chan struct{}, command []string) error {
	state, err := w.serve(stopped, command)
	_ = w.logFile.Close()
	if err != nil {
		return err
	}
	return endAs(state)
}

// serve starts the server and carries messages until it has ended.
func (w *wrapper) serve(stopped <-chan struct{}, command []string) (*os.ProcessState, error) {
	defer w.begin()()
	signals, hangups := takeSignals()
	child, err := (&upstream.Command{
		Path: command[0], Args: command[1:], Env: os.Environ(), Stderr: os.Stderr,
		Limit: int(w.cfg.Limits.MaxMessageBytes), Log: w.log,
	}).Start()
	if err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		_ = group.Wait() // none of them fails
	}()
	w.log.Info("wrapping", "server", w.server, "command", command[0], "user", w.caller.ID, "roles", w.caller.Roles,
		"mode", w.cfg.Policy.Mode, "audit", w.cfg.Audit.Path, "version", version)
	client := w.listen(child)
	w.follow(ctx, group, hangups, func() {})
	// A read of standard input cannot be broken off: this ends with the process.
	go func() {
		w.firstLoad(ctx)
		if err := client.Read(ctx, os.Stdin); err != nil {
			w.log.Error("standard input", "error", err)
		}
		client.closeWrite()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-child.Ended()
		client.part()
		client.Wait()
	}()
	for {
		select {
		case <-done:
			client.bridge.Close()
			client.sessions.Close()
			return child.State(), nil
		case <-stopped:
			child.Signal(syscall.SIGTERM)
			stopped = nil
		case s := <-signals:
			w.log.Info("signal", "signal", s.String())
			child.Signal(s)
		}
	}
}

// A wrapClient is the client, and the server that it talks to.
type wrapClient struct {
	*listen.Stdio
	sessions *upstream.Sessions
	bridge   *bridge.Bridge
	part     func() // lets go of who merely listens
	child    *upstream.Process
	taken    sync.Once
}

// listen puts the gateway between standard input and output and the server.
func (w *wrapper) listen(child *upstream.Process) *wrapClient {
	c := &wrapClient{child: child}
	c.sessions = &upstream.Sessions{Open: c.open, Single: true, Slots: make(chan struct{}, 1), PerPrincipal: 1, Log: w.log}
	c.bridge = bridge.New(c.sessions, true)
	g := w.gateway(map[string]gateway.Upstream{w.server: c.bridge}, gateway.NewHandles())
	parting, part := context.WithCancel(context.Background())
	g.Parting, c.part = parting, part
	c.Stdio = &listen.Stdio{
		Gateway: g,
		Server:  w.server, Caller: w.caller, Limit: int(w.cfg.Limits.MaxMessageBytes),
		Out: &clientPipe{log: w.log, broken: sync.OnceFunc(func() { _ = child.Close() })},
	}
	return c
}

// errTaken says that the only channel was opened already.
var errTaken = errors.New("the server has ended")

func (c *wrapClient) open(context.Context, *mcp.Outgoing) (upstream.Channel, error) {
	err := errTaken
	c.taken.Do(func() { err = nil })
	if err != nil {
		return nil, err
	}
	return c.child, nil
}

// closeWrite closes the server's input after all that was sent to it.
func (c *wrapClient) closeWrite() {
	c.sessions.CloseWrite()
	c.taken.Do(func() { _ = c.child.CloseWrite() }) // nothing was
}

// clientPipe is standard output. When nobody reads it any longer, the server ends.
type clientPipe struct {
	log    *slog.Logger
	broken func()
}

// Write implements io.Writer.
func (p *clientPipe) Write(b []byte) (int, error) {
	n, err := os.Stdout.Write(b)
	if err != nil {
		p.log.Error("standard output", "error", err)
		go p.broken()
	}
	return n, err
}
