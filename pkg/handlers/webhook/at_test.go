package webhook

import (
	"net/url"
	"reflect"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestAt calls all hooks elsewhere, without credentials, and leaves the config as it was.
func TestAt(t *testing.T) {
	service := &Service{Name: "hooks", Namespace: "team-a", Path: "/sync", Protocol: ProtocolHTTPS}
	c := Config{
		Sync: Endpoint{Service: service}, Finalize: &Endpoint{URL: "http://user:pass@a.b:80/finalize?x=y"},
		TLS: &TLS{CAFile: "/ca", CertFile: "/cert", KeyFile: "/key"}, Auth: &Auth{Bearer: &handlers.Secret{Env: "TOKEN"}},
	}
	local := &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}
	got := at(c, local)
	want := Config{
		Sync: Endpoint{URL: "http://127.0.0.1:8080/sync"}, Finalize: &Endpoint{URL: "http://127.0.0.1:8080/finalize?x=y"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it becomes %+v with %+v, want %+v", got, got.Finalize, want)
	}
	if secure := at(c, &url.URL{Scheme: "https", Host: "x.y"}); !reflect.DeepEqual(secure.TLS, &TLS{CAFile: "/ca"}) {
		t.Errorf("by https, TLS is %+v", secure.TLS)
	}
	if c.Sync.Service != service || c.Finalize.URL == want.Finalize.URL || c.TLS.CertFile != "/cert" || c.Auth == nil {
		t.Errorf("the config itself has become %+v", c)
	}
}
