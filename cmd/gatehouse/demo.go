package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/policies"
)

// demoKey is the API key of the demo's caller, alice@org with the role dev.
const demoKey = "demo-key-of-alice"

func demoCommand() *cobra.Command {
	var exit bool
	var at string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See MCP calls allowed, denied, patched and reloaded, with nothing to install",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), newPrinter(cmd.OutOrStdout()), at, !exit)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "leave after the stories instead of serving on")
	cmd.Flags().StringVar(&at, "listen", "127.0.0.1:8080", "`address` of the gateway; another port if it is taken")
	return cmd
}

// demo plays the stories, and then serves on if wanted.
func demo(ctx context.Context, out *printer, at string, stay bool) error {
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := play(ctx, group, out, filepath.Join(dir, "bundle.tar.gz"), at, stay)
		if !stay {
			stop()
		}
		return err
	})
	return group.Wait()
}

// play starts a server, and an enforcing and a permissive gateway before it,
// and tells the stories.
func play(ctx context.Context, group *errgroup.Group, out *printer, bundle, at string, stay bool) error {
	server, err := demoServer(ctx)
	if err != nil {
		return err
	}
	if err := writeBundle(bundle, ""); err != nil {
		return err
	}
	enforcing, err := startStage(ctx, group, server, bundle, at, config.ModeEnforce)
	if err != nil {
		return err
	}
	permissive, err := startStage(ctx, group, server, bundle, "127.0.0.1:0", config.ModePermissive)
	if err != nil {
		return err
	}
	out.title(enforcing.url, server)
	if err := tellAll(ctx, out, stories(enforcing, permissive, bundle)); err != nil {
		return err
	}
	out.farewell(enforcing.url, stay)
	return nil
}

// writeBundle writes the starter policies, and a file more unless it is empty,
// as a bundle: in one step, as whatever ships bundles should.
func writeBundle(path, extra string) error {
	folder := path + ".d"
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.CopyFS(folder, policies.FS()); err != nil {
		return err
	}
	if extra != "" {
		if err := os.WriteFile(filepath.Join(folder, "extra.rego"), []byte(extra), 0o600); err != nil {
			return err
		}
	}
	bundle, err := policy.Build(folder, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", bundle, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// A stage is a gateway of the demo, and what it has recorded and logged.
type stage struct {
	*app
	url     string
	records lines
	logged  lines
}

// startStage starts a gateway before the server.
func startStage(ctx context.Context, group *errgroup.Group, server, bundle, at string, mode config.Mode) (*stage, error) {
	cfg, err := config.Load("", func(string) (string, bool) { return "", false }, config.Flags{
		Listen: free(at), Admin: "127.0.0.1:0", PolicyBundle: bundle, PolicyMode: string(mode), Upstream: server,
	})
	if err != nil {
		return nil, err
	}
	cfg.Policy.Poll = 0
	cfg.Policy.Timeout = 5 * time.Second // a busy machine must not fail the demo
	cfg.Identity = config.Identity{APIKeys: []config.APIKey{{
		Caller: config.Caller{ID: "alice@org", Roles: []string{"dev"}}, SHA256: sha256.Sum256([]byte(demoKey)),
	}}}
	s := &stage{}
	if s.app, err = newApp(cfg, &s.records, &s.logged); err != nil {
		return nil, err
	}
	s.url = "http://" + s.mcpAt.Addr().String() + "/mcp"
	group.Go(func() error { return s.run(ctx, hangups()) })
	return s, nil
}

// free is the address, or one with any other port if it is taken.
func free(at string) string {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return at
}

// reload replaces the bundle, sends this process a SIGHUP, and waits until the
// new bundle is in force.
func (s *stage) reload(ctx context.Context, bundle, extra string) error {
	before := s.engine.Pin().SHA256
	if err := writeBundle(bundle, extra); err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(30 * time.Second)
	for s.engine.Pin().SHA256 == before {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("the new bundle was not loaded")
		}
	}
	return nil
}

// lines keeps what is written, a line at a time.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

// since returns the lines from the nth on, and how many there are by now.
func (l *lines) since(n int) ([]string, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[n:]), len(l.all)
}
