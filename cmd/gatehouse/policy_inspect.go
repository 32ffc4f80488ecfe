package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// An inspection is what there is to know of a bundle.
type inspection struct {
	Revision  string         `json:"revision"`
	SHA256    string         `json:"sha256,omitempty"` // of the archive
	Roots     []string       `json:"roots"`
	Rego      *int           `json:"rego_version,omitempty"`
	Metadata  map[string]any `json:"metadata,omitempty"`
	Signature *signature     `json:"signature,omitempty"`
	Files     []fileView     `json:"files"`
	Rules     []ruleView     `json:"rules"`
	Reads     []string       `json:"reads"`
	Builtins  []string       `json:"builtins"`
	Warnings  []string       `json:"warnings,omitempty"`
}

type fileView struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// A ruleView is the rules of one name.
type ruleView struct {
	Rule        string `json:"rule"`
	At          string `json:"at"` // the first of them
	Entrypoint  bool   `json:"entrypoint,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
}

func policyInspectCommand() *cobra.Command {
	k := &verifyingKey{}
	var as format
	cmd := &cobra.Command{
		Use:   "inspect BUNDLE",
		Short: "Tell what is in a bundle, and who signed it",
		Long: `Tell what is in a bundle (.tar.gz) or a folder: revision, files, rules and their
annotations, what of the input they read, which built-ins they use, who signed
it. With --verification-key the signature is verified.

Exit codes: 0 done, 1 the bundle cannot be compiled or its signature is not
good, 2 a file cannot be read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := inspect(cmd.Context(), args[0], k)
			if err != nil {
				return err
			}
			if as.json() {
				err = printJSON(cmd.OutOrStdout(), i)
			} else {
				err = i.print(cmd.OutOrStdout())
			}
			if err == nil && i.Signature != nil && i.Signature.Error != "" {
				return refused(errors.New("the signature is not good: " + i.Signature.Error))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&k.file, "verification-key", "", "`file` with the public key or certificate (PEM), or with the secret of HS256")
	f.StringVar(&k.alg, "signing-alg", "RS256", "RS256, ES256 or HS256")
	f.StringVar(&k.scope, "scope", "", "`scope` that the signature must have")
	as.flag(cmd)
	return cmd
}

func inspect(ctx context.Context, path string, k *verifyingKey) (*inspection, error) {
	files, err := policy.Files(path)
	if err != nil {
		return nil, err
	}
	i := &inspection{Roots: []string{""}, Files: []fileView{}, Rules: []ruleView{}}
	if raw, err := os.ReadFile(filepath.Clean(path)); err == nil {
		sum := sha256.Sum256(raw)
		i.SHA256 = hex.EncodeToString(sum[:])
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		i.Files = append(i.Files, fileView{name, len(files[name])})
	}
	if err := i.manifest(files[bundle.ManifestExt]); err != nil {
		return nil, refused(fmt.Errorf("%s: .manifest: %w", path, err))
	}
	if err := i.signature(files, k); err != nil {
		return nil, err
	}
	w, err := loadWorkspace([]string{path})
	if err == nil {
		err = i.policy(ctx, w)
	}
	if err != nil {
		return nil, refused(err)
	}
	return i, nil
}

func (i *inspection) manifest(raw []byte) error {
	if raw == nil {
		return nil
	}
	var m bundle.Manifest
	if err := util.UnmarshalJSON(raw, &m); err != nil {
		return err
	}
	m.Init()
	i.Revision, i.Roots, i.Rego, i.Metadata = m.Revision, *m.Roots, m.RegoVersion, m.Metadata
	return nil
}

// policy looks at the compiled rules.
func (i *inspection) policy(ctx context.Context, w *workspace) error {
	rules := w.rules()
	c, err := w.compile(ctx, rules)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(rules)) {
		for _, r := range rules[path].Rules {
			if name := r.Ref().GroundPrefix().String(); !seen[name] {
				seen[name] = true
				i.Rules = append(i.Rules, viewRule(c, r, name))
			}
		}
	}
	i.Reads = slices.Sorted(maps.Keys(inputReads(c)))
	for _, b := range c.Required.Builtins {
		i.Builtins = append(i.Builtins, b.Name)
	}
	for _, f := range policy.Lint(rules, false) {
		i.Warnings = append(i.Warnings, f.String())
	}
	return nil
}

func viewRule(c *ast.Compiler, r *ast.Rule, name string) ruleView {
	v := ruleView{Rule: name, At: fmt.Sprintf("%s:%d", r.Location.File, r.Location.Row)}
	for _, a := range c.GetAnnotationSet().Chain(r) {
		if a.Annotations != nil && (a.Annotations.Scope == "rule" || a.Annotations.Scope == "document") {
			v.Entrypoint = v.Entrypoint || a.Annotations.Entrypoint
			v.Title, v.Description = a.Annotations.Title, a.Annotations.Description
		}
	}
	return v
}

// inputReads are the members of the input that the rules name.
func inputReads(c *ast.Compiler) map[string]bool {
	reads := map[string]bool{}
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if ref.HasPrefix(ast.InputRootRef) {
				reads[ref.ConstantPrefix().String()] = true
			}
			return false
		})
	}
	return reads
}
