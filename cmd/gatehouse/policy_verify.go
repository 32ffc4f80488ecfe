package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A signature is what .signatures.json says, which anybody could say until it
// is verified.
type signature struct {
	KeyID    string `json:"key_id"`
	Alg      string `json:"alg"`
	Scope    string `json:"scope,omitempty"`
	Files    int    `json:"files"`
	Verified bool   `json:"verified"`
	Error    string `json:"error,omitempty"`
}

// A verifyingKey is a key, and what a signature must say to be verified by it.
type verifyingKey struct{ file, alg, scope string }

// signature decodes the signature, and verifies it if there is a key.
func (i *inspection) signature(files map[string][]byte, k *verifyingKey) error {
	raw, ok := files[signaturesFile]
	if !ok {
		if k.file != "" {
			i.Signature = &signature{Error: "there is none"}
		}
		return nil
	}
	i.Signature = &signature{}
	if err := i.Signature.decode(raw); err != nil {
		i.Signature.Error = err.Error()
		return nil // which the signature tells
	}
	if k.file == "" {
		return nil
	}
	key, err := os.ReadFile(filepath.Clean(k.file))
	if err != nil {
		return err
	}
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{
		i.Signature.KeyID: {Key: string(key), Algorithm: k.alg, Scope: k.scope},
	}, i.Signature.KeyID, k.scope, nil)
	packed, err := policy.Pack(files)
	if err != nil {
		return err
	}
	if _, err := bundle.NewReader(bytes.NewReader(packed)).WithBundleVerificationConfig(config).Read(); err != nil {
		i.Signature.Error = err.Error()
	}
	i.Signature.Verified = i.Signature.Error == ""
	return nil
}

func (s *signature) decode(raw []byte) error {
	var config bundle.SignaturesConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	if len(config.Signatures) != 1 {
		return fmt.Errorf("%d signatures", len(config.Signatures))
	}
	parts := strings.Split(config.Signatures[0], ".")
	var head struct{ Alg, Kid string }
	var body bundle.DecodedSignature
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	for n, into := range []any{&head, &body} {
		text, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return fmt.Errorf("not a JWT: %w", err)
		}
	}
	s.Alg, s.KeyID, s.Scope, s.Files = head.Alg, head.Kid, body.Scope, len(body.Files)
	if s.KeyID == "" {
		s.KeyID = body.KeyID
	}
	return nil
}

// String says a signature in one line.
func (s *signature) String() string {
	if s == nil {
		return "none"
	}
	if s.Error != "" {
		return "not good: " + s.Error
	}
	text := fmt.Sprintf("%s by key %q, scope %q, of %s", s.Alg, s.KeyID, s.Scope, plural(s.Files, "file"))
	if s.Verified {
		return text + ": verified"
	}
	return text + ": not verified (--verification-key)"
}
