package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestValidate(t *testing.T) {
	const example = `for example "http://hooks.team-a.svc:8080/sync"`
	tests := map[string]struct {
		config string
		want   []handlers.Problem
	}{
		"url":     {`{"sync": {"url": "http://hook/sync?a=b"}}`, nil},
		"service": {`{"sync": {"service": {"name": "hook", "namespace": "a"}}}`, nil},
		"sidecar": {`{"sync": {"url": "http://127.0.0.1:8080/"}, "finalize": {"url": "http://[::1]:8080/"}}`, nil},
		"neither": {`{"sync": {}}`, []handlers.Problem{
			{Path: "sync", Message: `want exactly one of "url" and "service"`},
		}},
		"both": {`{"sync": {"url": "http://hook", "service": {"name": "hook", "namespace": "a"}}}`, []handlers.Problem{
			{Path: "sync", Message: `want exactly one of "url" and "service"`},
		}},
		"no URL": {`{"sync": {"url": "http://hook:x"}}`, []handlers.Problem{
			{Path: "sync.url", Message: `it is no URL: invalid port ":x" after host`, Hint: example},
		}},
		"scheme": {`{"sync": {"url": "hook:8080/sync"}}`, []handlers.Problem{
			{Path: "sync.url", Message: "want a URL that begins with http:// or https://", Hint: example},
		}},
		"no host": {`{"sync": {"url": "http:///sync"}}`, []handlers.Problem{{Path: "sync.url", Message: "the URL has no host", Hint: example}}},
		"port": {`{"sync": {"url": "http://hook:70000"}}`, []handlers.Problem{
			{Path: "sync.url", Message: `"70000" is no port`, Hint: "want 1 to 65535"},
		}},
		"user and fragment": {`{"sync": {"url": "http://me:secret@hook/#top"}}`, []handlers.Problem{
			{Path: "sync.url", Message: "the URL has a user or password in it", Hint: "give them by auth.basic, which reads the password from a file or variable"},
			{Path: "sync.url", Message: "the URL has a fragment (#), which is never sent", Hint: "leave it out"},
		}},
		"metadata service": {`{"sync": {"url": "http://169.254.169.254/latest"}}`, []handlers.Problem{
			{Path: "sync.url", Message: "169.254.169.254 is an address of the link, or of a cloud's metadata service", Hint: "allowLinkLocal: true allows it"},
		}},
		"allowed": {`{"sync": {"url": "http://169.254.169.254/latest"}, "allowLinkLocal": true}`, nil},
		"names": {`{"sync": {"service": {"name": "a.b", "namespace": "", "path": "/a?b"}}}`, []handlers.Problem{
			{Path: "sync.service.name", Message: `"a.b" is no name of a Service`, Hint: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"},
			{Path: "sync.service.namespace", Message: `"" is no name of a namespace`, Hint: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"},
			{Path: "sync.service.path", Message: "want a path alone", Hint: "give a query by url"},
		}},
		"each hook": {`{"sync": {"url": "http://hook"}, "customize": {"url": "ftp://hook"}, "finalize": {"url": ""}, "reads": [{"apiVersion": "v1", "kind": "ConfigMap"}]}`,
			[]handlers.Problem{
				{Path: "customize.url", Message: "want a URL that begins with http:// or https://", Hint: example},
				{Path: "finalize", Message: `want exactly one of "url" and "service"`},
			}},
		"tls for nothing": {`{"sync": {"url": "http://hook"}, "tls": {"serverName": "a"}}`, []handlers.Problem{
			{Path: "tls", Message: "no hook is called by https", Hint: `want a url that begins with https://, or protocol: "https"`},
		}},
		"tls": {`{"sync": {"url": "https://hook"}, "tls": {"caFile": "/a", "caBundle": "b", "keyFile": "/c"}}`, []handlers.Problem{
			{Path: "tls.caBundle", Message: "caFile gives the certificates already", Hint: "keep one of them"},
			{Path: "tls.caBundle", Message: "there is no certificate in it", Hint: "want certificates in PEM, or their file in caFile"},
			{Path: "tls", Message: "want both certFile and keyFile, or none"},
		}},
		"no auth": {`{"sync": {"url": "http://hook"}, "auth": {}}`, []handlers.Problem{
			{Path: "auth", Message: `want exactly one of "bearer" and "basic"`},
		}},
		"auth": {`{"sync": {"url": "http://hook"}, "auth": {"basic": {"username": "a:b", "password": {}}}}`, []handlers.Problem{
			{Path: "auth.basic.username", Message: "a user's name has no colon in it"},
			{Path: "auth.basic.password", Message: `want exactly one of "env" and "file"`},
		}},
		"token": {`{"sync": {"url": "http://hook"}, "auth": {"bearer": {"env": "A", "file": "/b"}}}`, []handlers.Problem{
			{Path: "auth.bearer", Message: `want exactly one of "env" and "file"`},
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, handlerstest.Problems(t, Plugin, tc.config)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
