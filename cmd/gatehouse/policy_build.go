package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A build is what policy build is asked to do.
type build struct {
	out, revision, decision string
	ignore                  []string
	key                     signingKey
}

func policyBuildCommand() *cobra.Command {
	b := &build{}
	cmd := &cobra.Command{
		Use:   "build PATH",
		Short: "Build a bundle from a folder",
		Long: `Build a bundle from a folder: its rules without tests, its data and manifest. The
same files give the same bytes (a signature by ES256 apart). The digest goes to
the same name with .sha256. What the gateway would not activate is not built.

Exit codes: 0 built, 1 the gateway would refuse the bundle, 2 a file cannot be
read or written, or the key is of no use.`,
		Example: "  gatehouse policy build policies -o bundle.tar.gz --revision \"$(git describe --always)\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.run(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&b.out, "output", "o", "bundle.tar.gz", "`file` to write")
	f.StringVar(&b.revision, "revision", "", "`name` of this state; default: the manifest's, else a digest of the contents")
	f.StringVar(&b.decision, "decision", "mcp/decision", "`rule` that decides")
	f.StringArrayVar(&b.ignore, "ignore", nil, "leave out files whose path or name matches the `pattern`, as in draft-*")
	b.key.flags(f)
	return cmd
}

func (b *build) run(ctx context.Context, from string, out, warnings io.Writer) error {
	files, err := policy.Files(from)
	if err != nil {
		return err
	}
	delete(files, signaturesFile)
	for name := range files {
		ignored, err := b.ignored(name)
		if err != nil {
			return err
		}
		if ignored {
			delete(files, name)
		}
	}
	if err := policy.SetManifest(files, b.revision); err != nil {
		return refused(fmt.Errorf("%s: %w", filepath.Join(from, ".manifest"), err))
	}
	if b.key.file != "" {
		if err := b.key.sign(files); err != nil {
			return err
		}
	}
	s, err := writeBundleFile(ctx, b.out, b.decision, files)
	if err != nil {
		return err
	}
	for _, w := range s.Warnings() {
		fmt.Fprintln(warnings, "warning:", w)
	}
	_, err = fmt.Fprintf(out, "%s: %s (sha256 %s)\n", b.out, s.Revision, s.SHA256)
	return err
}

// ignored reports whether a pattern names the file, or a folder that it is in.
func (b *build) ignored(name string) (bool, error) {
	for _, pattern := range b.ignore {
		pattern = strings.TrimSuffix(pattern, "/")
		for at := name; at != "."; at = path.Dir(at) {
			for _, candidate := range []string{at, path.Base(at)} {
				if ok, err := path.Match(pattern, candidate); ok || err != nil {
					return ok, err
				}
			}
		}
	}
	return false, nil
}

// writeBundleFile writes a bundle and its digest, if a gateway would activate it.
func writeBundleFile(ctx context.Context, out, decision string, files map[string][]byte) (*policy.Snapshot, error) {
	raw, err := policy.Pack(files)
	if err != nil {
		return nil, err
	}
	s, err := activate(ctx, raw, decision)
	if err != nil {
		return nil, refused(err)
	}
	if err := replaceFile(out, raw, 0o644); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	line := fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum[:]), filepath.Base(out))
	return s, replaceFile(out+".sha256", []byte(line), 0o644)
}

// activate is what a gateway does with a bundle. Nothing can be asked of the
// snapshot.
func activate(ctx context.Context, raw []byte, decision string) (*policy.Snapshot, error) {
	dir, err := os.MkdirTemp("", "gatehouse-build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "bundle.tar.gz")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, err
	}
	engine := policy.New(policy.Config{
		Bundle: file, Decision: decision, Timeout: evalTime, Log: slog.New(slog.DiscardHandler),
	})
	defer engine.Close()
	err = engine.Reload(ctx)
	return engine.Pin(), err
}
