package handlers_test

import (
	"net/url"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// eitherPlugin makes a composer of a config with a count, and a handler of any other.
func eitherPlugin() handlers.Plugin[config] {
	p := composerPlugin("p")
	p.New = makeNothing[config]
	p.Composes = func(c config) bool { return c.Count > 0 }
	p.External = func(config) bool { return true }
	p.Reads = func(config) []handlers.Related {
		return []handlers.Related{{Name: "a", APIVersion: "v1", Kind: "Secret"}}
	}
	return p
}

func TestPluginMakesHandlersAndComposers(t *testing.T) {
	r, err := handlers.NewRegistry(eitherPlugin())
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := r.Describe("p"); !d.Composes || len(d.Owns) > 0 {
		t.Errorf("Describe = %+v, want that it composes, and owns nothing by default", d)
	}
	for config, composes := range map[string]bool{`{}`: false, `{"count":1}`: true} {
		b, problems, err := r.Bind("p", []byte(config))
		if err != nil || len(problems) > 0 {
			t.Fatalf("Bind(%s): %+v, %v", config, problems, err)
		}
		owns, reads := len(b.Owns()), len(b.Reads())
		if b.Composes() != composes || b.External() != composes || owns > 0 != composes || reads > 0 != composes {
			t.Errorf("%s: composes %t, external %t, owns %d kinds, reads %d; want all of it to be %t", config, b.Composes(), b.External(), owns, reads, composes)
		}
		_, handlerErr := b.New(t.Context(), handlers.Env{})
		_, composerErr := b.NewComposer(t.Context(), handlers.Env{})
		if (composerErr == nil) != composes || (handlerErr == nil) == composes {
			t.Errorf("%s: making the handler: %v; making the composer: %v", config, handlerErr, composerErr)
		}
	}
}

func TestComposesMayPanic(t *testing.T) {
	p := eitherPlugin()
	p.Composes = func(config) bool { panic("no config is good enough") }
	r, err := handlers.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Bind("p", nil); err == nil {
		t.Error("Bind has no error")
	}
}

func TestNewRegistryRefusesAChoiceOfOne(t *testing.T) {
	for name, change := range map[string]func(*handlers.Plugin[config]){
		"no New":         func(p *handlers.Plugin[config]) { p.New = nil },
		"no NewComposer": func(p *handlers.Plugin[config]) { p.NewComposer, p.Owns, p.Reads, p.External = nil, nil, nil, nil },
	} {
		p := eitherPlugin()
		change(&p)
		const want = `registering plugin "p": Composes chooses between New and NewComposer, and it has one of them`
		if _, err := handlers.NewRegistry(p); err == nil || err.Error() != want {
			t.Errorf("%s: have %v, want %s", name, err, want)
		}
	}
}

// TestPluginWhoseServicesAreElsewhere makes a config of one that calls its services at another
// address, checked as any other.
func TestPluginWhoseServicesAreElsewhere(t *testing.T) {
	p := composerPlugin("p")
	p.At = func(c config, address *url.URL) config {
		c.Count = len(address.Host)
		return c
	}
	p.Validate = func(c *config) []handlers.Problem {
		if c.Count > 3 {
			return []handlers.Problem{{Path: "count", Message: "too many"}}
		}
		return nil
	}
	r, err := handlers.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	b, problems, err := r.Bind("p", []byte(`{"count":1}`))
	if err != nil || len(problems) > 0 || !b.AsksService() {
		t.Fatalf("Bind: asks a service: %t, problems %v, error %v", b.AsksService(), problems, err)
	}
	moved, err := b.At(&url.URL{Scheme: "http", Host: "abc"})
	if err != nil || !strings.Contains(string(moved.JSON()), `"count":3`) || !strings.Contains(string(b.JSON()), `"count":1`) {
		t.Errorf("elsewhere, the config is %s, the error %v; the first is %s", moved.JSON(), err, b.JSON())
	}
	const want = "calling a service at http://abcd: count: too many"
	if _, err := b.At(&url.URL{Scheme: "http", Host: "abcd"}); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if _, err := (handlers.Bound{}).At(&url.URL{}); err == nil {
		t.Error("a plugin without services is called elsewhere")
	}
}
