package config

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"slices"
)

// checkAll checks what no key can check alone, and fills in the caller that follows from the rest.
func (l *loader) checkAll(c *Config) {
	l.checkListeners(c)
	l.checkServers(c.Servers)
	l.checkIdentity(c)
	l.checkProxies(c.Identity.TrustedProxies)
	l.checkKeys(c.Identity.APIKeys)
	l.checkAudit(&c.Audit)
	l.checkBundle(&c.Policy)
	l.checkTokens(c)
	l.checkCertificates(c)
}

func (l *loader) checkListeners(c *Config) {
	if _, port, _ := net.SplitHostPort(c.Admin); c.Admin == c.Listen && port != "0" {
		l.problem("admin", "%q is the address of listen too (use another port)", c.Admin)
	}
}

// checkIdentity makes sure that somebody may call, and that on a listener which others reach it is not
// everybody by accident.
func (l *loader) checkIdentity(c *Config) {
	const ways = "set identity.jwt, introspection, apiKeys, apiKeysFile, certificates, trustedProxies.cidrs or anonymous"
	id := &c.Identity
	if id.Anonymous != nil || len(id.APIKeys) > 0 || id.APIKeysFile != "" || len(id.TrustedProxies.CIDRs) > 0 ||
		len(id.JWT) > 0 || id.Introspection != nil || len(id.Certificates) > 0 {
		return
	}
	_, given := l.sources["identity"]
	switch {
	case !loopback(c.Listen):
		l.problem("listen", "%q is not a loopback address, and no identity is configured: whoever reaches it could "+
			"call every tool (%s, or listen on 127.0.0.1)", c.Listen, ways)
	case given:
		l.problem("identity", "lets nobody in (%s, or leave identity out to let every local caller in)", ways)
	default:
		id.Anonymous = &Caller{ID: anonymousID, Roles: []string{}}
	}
}

func (l *loader) checkProxies(t TrustedProxies) {
	if t.UserHeader == t.RolesHeader {
		l.problem("identity.trustedProxies", "userHeader and rolesHeader are both %q (use two headers)", t.UserHeader)
	}
}

// checkKeys makes sure that a key belongs to one caller.
func (l *loader) checkKeys(keys []APIKey) {
	first := map[[sha256.Size]byte]int{}
	for i, k := range keys {
		if j, ok := first[k.SHA256]; ok {
			l.problem(fmt.Sprintf("identity.apiKeys[%d].sha256", i), "is that of identity.apiKeys[%d] too "+
				"(a key has one owner)", j)
			continue
		}
		first[k.SHA256] = i
	}
}

// checkTokens makes sure that an issuer is named once, and that scopes are required of somebody.
func (l *loader) checkTokens(c *Config) {
	first := map[string]int{}
	for i, issuer := range c.Identity.JWT {
		at := fmt.Sprintf("identity.jwt[%d]", i)
		if j, ok := first[issuer.Issuer]; ok {
			l.problem(at+".issuer", "is that of identity.jwt[%d] too (name an issuer once)", j)
			continue
		}
		first[issuer.Issuer] = i
		if len(issuer.Algorithms) == 0 {
			l.problem(at+".algorithms", "is empty (leave it out for the default: %s)", algorithms)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		if len(c.Servers[name].RequiredScopes) > 0 && len(c.Identity.JWT) == 0 && c.Identity.Introspection == nil {
			l.problem("mcpServers."+name+".requiredScopes", "only tokens have scopes, and none are accepted "+
				"(set identity.jwt or identity.introspection)")
		}
	}
}

func (l *loader) checkCertificates(c *Config) {
	if len(c.Identity.Certificates) > 0 && (c.TLS == nil || c.TLS.ClientCA == "") {
		l.problem("identity.certificates", "needs tls.clientCA (the authorities of the clients' certificates)")
	}
	for i, c := range c.Identity.Certificates {
		if (c.Subject == "") == (c.SPIFFE == "") {
			l.problem(fmt.Sprintf("identity.certificates[%d]", i), "needs either subject or spiffe, and not both")
		}
	}
}
