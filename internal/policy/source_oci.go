package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

const (
	ociScheme   = "oci://"
	maxManifest = 1 << 20 // bytes of an OCI manifest
)

// An image is a bundle in an OCI registry, laid out as OPA's: the first layer
// of type tar+gzip is the bundle's .tar.gz.
type image struct {
	web  *web
	repo *remote.Repository
	err  error // of the reference
}

func newImage(cfg *Config, w *web) *image {
	i := &image{web: w}
	i.repo, i.err = remote.NewRepository(strings.TrimPrefix(cfg.Bundle, ociScheme))
	if i.err != nil {
		return i
	}
	// Credentials are put on by w, for the registry alone. What is left to this
	// client is to ask the registry for the token that it wants.
	i.repo.Client = &auth.Client{Client: w.client, Cache: auth.NewCache()}
	if cfg.CA == "" && onLoopback(i.repo.Reference.Registry) {
		i.repo.PlainHTTP = true
		w.origin = originOf("http://" + i.repo.Reference.Registry)
	}
	return i
}

func onLoopback(registry string) bool {
	host := registry
	if h, _, err := net.SplitHostPort(registry); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// pull returns the bundle and the digest of its manifest, or errUnchanged if
// that is the known one.
func (i *image) pull(ctx context.Context, known string) ([]byte, string, error) {
	if i.err != nil {
		return nil, "", i.err
	}
	if err := i.web.refresh(); err != nil {
		return nil, "", err
	}
	raw, digest, err := i.fetch(ctx, known)
	if err != nil && !errors.Is(err, errUnchanged) {
		err = fmt.Errorf("pull %s: %w", i.repo.Reference, login.Cause(err))
	}
	return raw, digest, err
}

func (i *image) fetch(ctx context.Context, known string) ([]byte, string, error) {
	root, err := i.repo.Resolve(ctx, i.repo.Reference.Reference)
	if err != nil {
		return nil, "", err
	}
	digest := root.Digest.String()
	if digest == known {
		return nil, "", errUnchanged
	}
	if root.Size > maxManifest {
		return nil, "", fmt.Errorf("the manifest has more than %d bytes", maxManifest)
	}
	raw, err := content.FetchAll(ctx, i.repo, root)
	if err != nil {
		return nil, "", err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, "", fmt.Errorf("read manifest: %w", err)
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType != ocispec.MediaTypeImageLayerGzip {
			continue
		}
		if layer.Size > maxArchive {
			return nil, "", fmt.Errorf("more than %d bytes", maxArchive)
		}
		raw, err := content.FetchAll(ctx, i.repo, layer) // of that size and digest
		return raw, digest, err
	}
	return nil, "", fmt.Errorf("the manifest, of type %s, has no layer of type %s", root.MediaType, ocispec.MediaTypeImageLayerGzip)
}
