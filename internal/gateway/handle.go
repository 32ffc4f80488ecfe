package gateway

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
)

// Handles seals what servers hand out and clients bring back. A sealed handle
// is worth nothing to another principal, at another server or as another kind
// of handle, and nothing about it need be remembered: whatever process has the
// key can open it.
type Handles struct{ keys func() HandleKeys }

// HandleKeys are what handles are sealed with: the first seals, all open.
type HandleKeys []cipher.AEAD

// Kinds of handles.
const (
	sessionHandle = "session"
	taskHandle    = "task"
	stateHandle   = "state"
	askedHandle   = "asked"
)

// NewHandles returns handles sealed with a key of this process alone.
func NewHandles() *Handles {
	secret := make([]byte, minSecret)
	_, _ = rand.Read(secret) // never fails
	keys := HandleKeys{newKey(secret)}
	return SharedHandles(func() HandleKeys { return keys })
}

// SharedHandles returns handles sealed with keys that others have as well. It
// asks for the keys at each use.
func SharedHandles(keys func() HandleKeys) *Handles { return &Handles{keys} }

const (
	minSecret  = 32 // bytes
	maxSecrets = 8
)

// ParseHandleKeys reads a file of secrets: one a line, at least 32 random bytes
// in base64. Empty lines do not count.
func ParseHandleKeys(texts [][]byte) (HandleKeys, error) {
	var keys HandleKeys
	seen := map[string]bool{}
	for line := range bytes.Lines(bytes.Join(texts, []byte("\n"))) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		secret, err := base64.StdEncoding.Strict().DecodeString(string(line))
		switch {
		case err != nil || len(secret) < minSecret:
			return nil, errors.New("a line is not at least 32 random bytes in base64 (head -c 32 /dev/urandom | base64)")
		case bytes.Count(secret, secret[:1]) == len(secret):
			return nil, errors.New("a key is one byte over and over")
		case seen[string(secret)]:
			return nil, errors.New("a key is there twice")
		}
		seen[string(secret)] = true
		keys = append(keys, newKey(secret))
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key")
	case len(keys) > maxSecrets:
		return nil, errors.New("more than 8 keys: each costs time for a handle that none of them opens")
	}
	return keys, nil
}

// newKey derives the key of handles from a secret that may serve more than them.
func newKey(secret []byte) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, secret, nil, "gatehouse handles", 32)
	if err != nil {
		panic("32 bytes of HKDF: " + err.Error())
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("a 32-byte AES key: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("GCM of AES: " + err.Error())
	}
	return aead
}

func (h *Handles) seal(kind, handle, server string, caller *identity.Caller) string {
	sealed := h.keys()[0].Seal(nil, nil, []byte(handle), owner(kind, server, caller))
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (h *Handles) open(kind, sealed, server string, caller *identity.Caller) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return "", false
	}
	for _, key := range h.keys() {
		if handle, err := key.Open(nil, nil, raw, owner(kind, server, caller)); err == nil {
			return string(handle), true
		}
	}
	return "", false
}

func owner(kind, server string, caller *identity.Caller) []byte {
	return []byte(kind + "\x00" + server + "\x00" + caller.Key())
}
