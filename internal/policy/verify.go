package policy

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// Verify says how a bundle must be signed, as by opa sign.
type Verify struct {
	Key       string // file: a public key or certificate in PEM, or for HS256 the secret as it is
	Algorithm string // RS256, ES256 or HS256; what the signature itself names does not count
	KeyID     string // that the signature must name; empty: any or none
	Scope     string // that the signature must have; empty: none
}

// minSecret is the shortest secret for HS256, in bytes (RFC 7518, section 3.2).
const minSecret = 32

// keys reads the key.
func (v *Verify) keys() (*bundle.VerificationConfig, error) {
	key, err := readFile(v.Key, 64<<10)
	if err != nil {
		return nil, fmt.Errorf("read verification key: %w", err)
	}
	block, _ := pem.Decode(key)
	switch {
	case v.Algorithm == "HS256" && block != nil:
		return nil, fmt.Errorf("%s is a key in PEM, which is no secret for HS256", v.Key)
	case v.Algorithm == "HS256" && len(key) < minSecret:
		return nil, fmt.Errorf("%s has %d bytes, and a secret for HS256 at least %d", v.Key, len(key), minSecret)
	case block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("%s is a private key; verifying needs the public one", v.Key)
	}
	name, asked := v.KeyID, ""
	if name == "" { // the one key is meant, whatever the signature calls it
		name, asked = "key", "key"
	}
	return bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{
		name: {Key: string(key), Algorithm: v.Algorithm},
	}, asked, v.Scope, nil), nil
}

// check refuses files that are not all signed.
func (v *Verify) check(files map[string][]byte) error {
	keys, err := v.keys()
	if err != nil {
		return err
	}
	signed, err := signedFiles(files, keys)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if bundle.IsSignaturesFile(name) {
			continue
		}
		if err := bundle.VerifyBundleFile(name, *bytes.NewBuffer(files[name]), signed); err != nil {
			return fmt.Errorf("verify signature: %w", err)
		}
	}
	if len(signed) > 0 { // each that was found was taken out
		return fmt.Errorf("verify signature: %v signed, but not found in the target bundle", slices.Sorted(maps.Keys(signed)))
	}
	return nil
}

// signedFiles are the files that the signature speaks of. It refuses what would
// make the signature mean less than it seems to: JSON that can be read in two
// ways, since OPA signs what it reads there and not the bytes, and digests that
// can be forged.
func signedFiles(files map[string][]byte, keys *bundle.VerificationConfig) (map[string]bundle.FileInfo, error) {
	var signatures bundle.SignaturesConfig
	found := 0
	for name, raw := range files {
		switch base := path.Base(name); base {
		case ".signatures.json", ".manifest", "data.json":
			if !jsontext.Value(raw).IsValid() {
				return nil, fmt.Errorf("%s is not strict JSON: no duplicate key and nothing else is allowed in a signed bundle", name)
			}
			if base != ".signatures.json" {
				continue
			}
			found++
			if err := json.Unmarshal(raw, &signatures); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	if found > 1 {
		return nil, errors.New("the bundle has multiple signatures files")
	}
	if len(signatures.Signatures) == 0 {
		return nil, errors.New("the bundle is not signed")
	}
	signed, err := bundle.VerifyBundleSignature(signatures, keys)
	if err != nil {
		return nil, fmt.Errorf("verify signature: %w", err)
	}
	for name, file := range signed {
		switch bundle.HashingAlgorithm(file.Algorithm) {
		case bundle.SHA256, bundle.SHA384, bundle.SHA512, bundle.SHA512256:
		default:
			return nil, fmt.Errorf("verify signature: %s is signed by its digest of type %q, which is not safe", name, file.Algorithm)
		}
	}
	return signed, nil
}
