package config

import (
	"net/url"
	"strings"
)

// checkBundle checks what the settings of the bundle's server and of its signature ask of each other.
func (l *loader) checkBundle(p *Policy) {
	if p.LongPoll > 0 && p.Poll == 0 {
		l.problem("policy.longPollSeconds", "needs policy.pollSeconds (the time between two looks at a server that cannot wait)")
	}
	l.checkCredentials(p, remote(p.Bundle))
}

// remote reports whether a bundle comes from a server.
func remote(bundle string) bool {
	for _, scheme := range []string{"http://", "https://", "oci://"} {
		if strings.HasPrefix(bundle, scheme) {
			return true
		}
	}
	return false
}

// checkCredentials makes sure that there is one kind of them, and that nobody on the way can read it.
func (l *loader) checkCredentials(p *Policy, remote bool) {
	const path = "policy.credentials"
	if _, given := l.sources[path]; !given {
		return
	}
	kinds := 0
	for _, set := range []bool{
		p.Credentials.Bearer != "", p.Credentials.BearerFile != "", p.Credentials.Basic != nil,
		p.Credentials.Certificate != nil, p.Credentials.OAuth2 != nil,
	} {
		if set {
			kinds++
		}
	}
	const one = "give one of bearer, bearerFile, basic, clientCertificate, oauth2"
	switch {
	case kinds == 0:
		l.problem(path, "is empty (%s, or leave it out)", one)
	case kinds > 1:
		l.problem(path, "has %d kinds (%s)", kinds, one)
	case !remote && p.Bundle != "":
		l.problem(path, "is for a bundle server, and policy.bundle is a path (leave it out)")
	case inClear(p.Bundle):
		l.problem(path, "would cross the network in clear (use an https URL for policy.bundle)")
	case p.Credentials.OAuth2 != nil && inClear(p.Credentials.OAuth2.TokenURL.String()):
		l.problem(path+".oauth2.tokenUrl", "would take the secret across the network in clear (use an https URL)")
	}
}

// inClear reports whether what is sent to a URL leaves this machine in clear.
func inClear(place string) bool {
	u, err := url.Parse(place)
	return err == nil && u.Scheme == "http" && !loopback(u.Hostname()+":0") && !loopback("["+u.Hostname()+"]:0")
}
