package webhook

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

func validate(c *Config) []handlers.Problem {
	v := &validator{config: c}
	endpoints := c.endpoints()
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		v.endpoint(string(name), endpoints[name])
	}
	if c.TLS != nil {
		v.tls(c.TLS)
	}
	if c.Auth != nil {
		v.auth(c.Auth)
	}
	return append(v.problems, hook.Validate(c.Config, c.hooks())...)
}

// validator collects problems.
type validator struct {
	config   *Config
	secure   bool // some hook is called by https
	problems []handlers.Problem
}

func (v *validator) add(path, message, hint string) {
	v.problems = append(v.problems, handlers.Problem{Path: path, Message: message, Hint: hint})
}

func (v *validator) endpoint(path string, e Endpoint) {
	if e.Timeout < 0 {
		v.add(path+".timeout", "want a positive duration", `for example "10s"`)
	}
	switch {
	case (e.URL == "") == (e.Service == nil):
		v.add(path, `want exactly one of "url" and "service"`, "")
	case e.Service != nil:
		v.service(path+".service", *e.Service)
	default:
		v.url(path+".url", e.URL)
	}
	if u, err := e.address(); err == nil && u.Scheme == ProtocolHTTPS {
		v.secure = true
	}
}

func (v *validator) service(path string, s Service) {
	if wrong := validation.IsDNS1035Label(s.Name); len(wrong) > 0 {
		v.add(path+".name", fmt.Sprintf("%q is no name of a Service", s.Name), wrong[0])
	}
	if wrong := validation.IsDNS1123Label(s.Namespace); len(wrong) > 0 {
		v.add(path+".namespace", fmt.Sprintf("%q is no name of a namespace", s.Namespace), wrong[0])
	}
	if strings.ContainsAny(s.Path, "?#") {
		v.add(path+".path", "want a path alone", "give a query by url")
	}
}

func (v *validator) url(path, text string) {
	const example = `for example "http://hooks.team-a.svc:8080/sync"`
	u, err := url.Parse(text)
	switch {
	case err != nil:
		v.add(path, "it is no URL: "+withoutURL(err).Error(), example)
		return
	case u.Scheme != ProtocolHTTP && u.Scheme != ProtocolHTTPS:
		v.add(path, "want a URL that begins with http:// or https://", example)
		return
	case u.Hostname() == "":
		v.add(path, "the URL has no host", example)
		return
	}
	if u.User != nil {
		v.add(path, "the URL has a user or password in it", "give them by auth.basic, which reads the password from a file or variable")
	}
	if u.Fragment != "" {
		v.add(path, "the URL has a fragment (#), which is never sent", "leave it out")
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		v.add(path, fmt.Sprintf("%q is no port", u.Port()), "want 1 to 65535")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && isLinkLocal(ip) && !v.config.AllowLinkLocal {
		v.add(path, fmt.Sprintf("%s is an address of the link, or of a cloud's metadata service", ip), "allowLinkLocal: true allows it")
	}
}

func (v *validator) tls(t *TLS) {
	if !v.secure {
		v.add("tls", "no hook is called by https", `want a url that begins with https://, or protocol: "https"`)
	}
	if t.CAFile != "" && t.CABundle != "" {
		v.add("tls.caBundle", "caFile gives the certificates already", "keep one of them")
	}
	if t.CABundle != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CABundle)) {
		v.add("tls.caBundle", "there is no certificate in it", "want certificates in PEM, or their file in caFile")
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		v.add("tls", "want both certFile and keyFile, or none", "")
	}
}

func (v *validator) auth(a *Auth) {
	if (a.Bearer == nil) == (a.Basic == nil) {
		v.add("auth", `want exactly one of "bearer" and "basic"`, "")
		return
	}
	if a.Bearer != nil {
		v.problems = append(v.problems, a.Bearer.Validate("auth.bearer")...)
		return
	}
	if strings.ContainsRune(a.Basic.Username, ':') {
		v.add("auth.basic.username", "a user's name has no colon in it", "")
	}
	v.problems = append(v.problems, a.Basic.Password.Validate("auth.basic.password")...)
}
