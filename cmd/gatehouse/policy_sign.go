package main

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

const signaturesFile = ".signatures.json"

// A signingKey is a key and what a signature by it says.
type signingKey struct {
	file, alg, id, scope string
}

var signingAlgs = []string{"RS256", "ES256", "HS256"}

func (k *signingKey) flags(f *pflag.FlagSet) {
	f.StringVar(&k.file, "signing-key", "", "`file` with the private key (PEM), or with the secret of HS256")
	f.StringVar(&k.alg, "signing-alg", "RS256", "RS256, ES256 or HS256")
	f.StringVar(&k.id, "key-id", "default", "`name` of the key, by which verifiers find theirs")
	f.StringVar(&k.scope, "scope", "", "`scope` of the signature, which verifiers may ask for")
}

func policySignCommand() *cobra.Command {
	k := &signingKey{}
	var out, decision string
	cmd := &cobra.Command{
		Use:   "sign BUNDLE --signing-key FILE",
		Short: "Sign a bundle",
		Long: `Sign a bundle: .signatures.json, in OPA's format, is added to it or replaced. What
the gateway would not activate is not signed.

Exit codes: 0 signed, 1 the gateway would refuse the bundle, 2 a file cannot be
read or written, or the key is of no use.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := policy.Files(args[0])
			if err != nil {
				return err
			}
			if err := k.sign(files); err != nil {
				return err
			}
			if out == "" {
				out = args[0]
			}
			s, err := writeBundleFile(cmd.Context(), out, decision, files)
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s (sha256 %s)\n", out, s.Revision, s.SHA256)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write (default: the bundle itself)")
	cmd.Flags().StringVar(&decision, "decision", "mcp/decision", "`rule` that decides")
	k.flags(cmd.Flags())
	_ = cmd.MarkFlagRequired("signing-key")
	return cmd
}

// sign adds the signature to the files of a bundle.
func (k *signingKey) sign(files map[string][]byte) error {
	if !slices.Contains(signingAlgs, k.alg) {
		return fmt.Errorf("--signing-alg %q: it is one of %s", k.alg, strings.Join(signingAlgs, ", "))
	}
	if err := k.check(); err != nil {
		return fmt.Errorf("--signing-key: %w", err)
	}
	delete(files, signaturesFile)
	var signed []bundle.FileInfo
	for _, name := range slices.Sorted(maps.Keys(files)) {
		info, err := fileInfo(name, files[name])
		if err != nil {
			return refused(fmt.Errorf("%s: %w", name, err))
		}
		signed = append(signed, info)
	}
	claims, err := k.claims()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(claims) }()
	token, err := bundle.GenerateSignedToken(signed, bundle.NewSigningConfig(k.file, k.alg, claims), k.id)
	if err != nil {
		return fmt.Errorf("sign with %s: %w", k.file, err)
	}
	files[signaturesFile], err = json.Marshal(bundle.SignaturesConfig{Signatures: []string{token}})
	return err
}

// minSecret is the shortest secret for HS256, in bytes (RFC 7518, section 3.2).
const minSecret = 32

// check refuses a file that is no key of the algorithm. OPA would take the name
// of one that is not there for the secret.
func (k *signingKey) check() error {
	raw, err := os.ReadFile(filepath.Clean(k.file))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(raw)
	switch {
	case k.alg == "HS256" && block != nil:
		return fmt.Errorf("%s is a key in PEM, which is no secret for HS256", k.file)
	case k.alg == "HS256" && len(raw) < minSecret:
		return fmt.Errorf("%s has %d bytes, and a secret for HS256 at least %d", k.file, len(raw), minSecret)
	case k.alg != "HS256" && block == nil:
		return fmt.Errorf("%s is no key in PEM", k.file)
	}
	return nil
}

// claims is a file with what the signature says beside the files; OPA takes it
// from nowhere else.
func (k *signingKey) claims() (string, error) {
	claims := map[string]string{"keyid": k.id}
	if k.scope != "" {
		claims["scope"] = k.scope
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "gatehouse-claims-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return f.Name(), err
}

// fileInfo is the digest of a file as OPA's verifier takes it: of what is in a
// JSON or YAML file, however it is written.
func fileInfo(name string, raw []byte) (bundle.FileInfo, error) {
	hash, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return bundle.FileInfo{}, err
	}
	if base := path.Base(name); (base == "data.json" || base == ".manifest") && !jsontext.Value(raw).IsValid() {
		return bundle.FileInfo{}, errors.New("not strict JSON, which could be read in two ways")
	}
	var value any
	if !bundle.IsStructuredDoc(name) {
		value = raw
	} else if err := util.Unmarshal(raw, &value); err != nil {
		return bundle.FileInfo{}, err
	}
	sum, err := hash.HashFile(value)
	return bundle.NewFile(name, hex.EncodeToString(sum), bundle.SHA256.String()), err
}
