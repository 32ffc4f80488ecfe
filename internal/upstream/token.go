package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Tokens gets access tokens for one server from an authorization server, and
// keeps them until shortly before they expire: one of the gateway's own by
// client credentials, or with Exchange one for each caller and token of theirs
// (RFC 8693). Its other fields are set before first use.
type Tokens struct {
	TokenURL     string
	ClientID     string
	ClientSecret string
	Scopes       []string
	Audience     string // not said if empty
	Resource     string // not said if empty
	Exchange     bool
	Client       *http.Client

	style   atomic.Int32 // an oauth2.AuthStyle, once one has worked
	flights singleflight.Group
	mu      sync.Mutex
	kept    map[tokenKey]*token
}

// A tokenKey is whom a token is for: the digest of a principal and its token.
type tokenKey [sha256.Size]byte

// A token is an access token for a server.
type token struct {
	value      string
	got, until time.Time
}

const (
	tokenTime = 10 * time.Second // for the authorization server to answer
	maxTokens = 10_000           // that are kept
	maxToken  = 8 << 10          // bytes
	keepTime  = time.Minute      // for a token that does not say how long it lives
	early     = 30 * time.Second // before its end a token is replaced, or a fifth of its life
	renewTime = 10 * time.Second // a token that is refused is replaced if it is this old
)

func (t *Tokens) key(out *mcp.Outgoing) tokenKey {
	if !t.Exchange {
		return tokenKey{}
	}
	return sha256.Sum256([]byte(out.Principal + "\x00" + out.Token))
}

// get returns the token to send a message with. Of many who need the same one
// at once, one asks for it.
func (t *Tokens) get(ctx context.Context, out *mcp.Outgoing) (*token, *mcp.Error) {
	if t.Exchange && out.Token == "" {
		return nil, mcp.Refuse(http.StatusForbidden, "this server needs an access token of the caller's", "there is none to exchange")
	}
	key := t.key(out)
	if kept := t.find(key); kept != nil {
		return kept, nil
	}
	asked := t.flights.DoChan(string(key[:]), func() (any, error) {
		if kept := t.find(key); kept != nil {
			return kept, nil // it came while this one was on its way here
		}
		// Others may wait for it when this caller has left.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTime)
		defer cancel()
		got, err := t.ask(ctx, out.Token)
		if err == nil {
			t.keep(key, got)
		}
		return got, err
	})
	select {
	case <-ctx.Done():
		return nil, tokenFailure(ctx.Err())
	case r := <-asked:
		if r.Err != nil {
			return nil, tokenFailure(r.Err)
		}
		return r.Val.(*token), nil
	}
}

func (t *Tokens) find(key tokenKey) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept := t.kept[key]; kept != nil && time.Now().Before(kept.until) {
		return kept
	}
	return nil
}

func (t *Tokens) keep(key tokenKey, got *token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[tokenKey]*token{}
	}
	if len(t.kept) >= maxTokens {
		t.makeRoom()
	}
	t.kept[key] = got
}

// makeRoom forgets one: of a few at random one that has expired, or else the last.
func (t *Tokens) makeRoom() {
	looked, now := 0, time.Now()
	for key, kept := range t.kept {
		if looked++; looked == 16 || !now.Before(kept.until) {
			delete(t.kept, key)
			return
		}
	}
}

// renew forgets a token that the server refused, and reports whether another is
// worth a try. A server that refuses every token does not get one each time.
func (t *Tokens) renew(out *mcp.Outgoing, refused *token) bool {
	key := t.key(out)
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(refused.got) < renewTime {
		return false
	}
	if t.kept[key] == refused {
		delete(t.kept, key)
	}
	return true
}

// ask gets a token. How a client names itself is tried by header, as every
// authorization server should take it, and then in the body.
func (t *Tokens) ask(ctx context.Context, subject string) (*token, error) {
	style := oauth2.AuthStyle(t.style.Load())
	if style != oauth2.AuthStyleAutoDetect {
		return t.askBy(ctx, subject, style)
	}
	style = oauth2.AuthStyleInHeader
	got, err := t.askBy(ctx, subject, style)
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && (refused.ErrorCode == "invalid_client" || refused.Response.StatusCode == http.StatusUnauthorized) {
		style = oauth2.AuthStyleInParams
		got, err = t.askBy(ctx, subject, style)
	}
	if err == nil {
		t.style.Store(int32(style))
	}
	return got, err
}

func (t *Tokens) askBy(ctx context.Context, subject string, style oauth2.AuthStyle) (*token, error) {
	more := url.Values{}
	if t.Audience != "" {
		more.Set("audience", t.Audience)
	}
	if t.Resource != "" {
		more.Set("resource", t.Resource)
	}
	if t.Exchange {
		more.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
		more.Set("subject_token", subject)
		more.Set("subject_token_type", accessToken)
		more.Set("requested_token_type", accessToken)
	}
	c := clientcredentials.Config{
		ClientID: t.ClientID, ClientSecret: t.ClientSecret, TokenURL: t.TokenURL,
		Scopes: t.Scopes, EndpointParams: more, AuthStyle: style,
	}
	now := time.Now()
	got, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, t.Client))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	return t.check(got, now)
}

const accessToken = "urn:ietf:params:oauth:token-type:access_token"

var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

var errNoBearer = errors.New("its answer is no bearer token that has life left")

// check makes sure that what was given is what was asked for.
func (t *Tokens) check(got *oauth2.Token, now time.Time) (*token, error) {
	issued := got.Extra("issued_token_type")
	switch {
	case got.Type() != "Bearer" || got.TokenType == "":
		return nil, errNoBearer
	case len(got.AccessToken) > maxToken || !bearerToken.MatchString(got.AccessToken):
		return nil, errNoBearer
	case t.Exchange && issued != accessToken && issued != "urn:ietf:params:oauth:token-type:jwt":
		return nil, errNoBearer
	}
	life := keepTime
	if !got.Expiry.IsZero() {
		life = got.Expiry.Sub(now)
		life -= min(early, life/5)
	}
	if life <= 0 {
		return nil, errNoBearer
	}
	return &token{value: got.AccessToken, got: now, until: now.Add(life)}, nil
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// tokenFailure is what the client is told when there is no token for the server.
// Of the authorization server's words only its code is logged.
func tokenFailure(err error) *mcp.Error {
	bad := failure("no token for the server", err)
	var refused *oauth2.RetrieveError
	switch {
	case errors.Is(err, errNoBearer):
		bad.Cause = err.Error()
	case errors.As(err, &refused):
		bad.Cause = "it answered " + strconv.Itoa(refused.Response.StatusCode)
		if errorCode.MatchString(refused.ErrorCode) {
			bad.Cause += ", " + refused.ErrorCode
		}
	}
	bad.Cause = "the authorization server: " + bad.Cause
	return bad
}
