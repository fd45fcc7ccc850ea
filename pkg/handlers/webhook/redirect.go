package webhook

import (
	"net/http"
	"net/url"
)

// maxRedirects is how often one request is sent on.
const maxRedirects = 3

// checkRedirect is the CheckRedirect of an http.Client. A request is sent on only as what it is, to
// the host it was for, and never from https to http: it has an object in it, and credentials. The
// redirect that is not followed is the answer.
func checkRedirect(next *http.Request, before []*http.Request) error {
	last := before[len(before)-1]
	if next.Method != http.MethodPost || len(before) > maxRedirects || !sameHost(last.URL, next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// sameHost reports whether a request for one URL may be sent to the other one.
func sameHost(from, to *url.URL) bool {
	if from.Hostname() != to.Hostname() || to.User != nil {
		return false
	}
	if from.Scheme == ProtocolHTTP && to.Scheme == ProtocolHTTPS {
		return true
	}
	return from.Scheme == to.Scheme && portOf(from) == portOf(to)
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == ProtocolHTTPS:
		return "443"
	default:
		return "80"
	}
}
