package reload_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/log"
	"kooperd.dev/kooperd/pkg/reload"
)

// silent is an Observer that keeps nothing; *telemetry.Metrics is the usual one.
type silent struct{}

func (silent) SetConfig(string)                    {}
func (silent) ObserveReload(string, time.Duration) {}
func (silent) ObserveUnchanged(bool)               {}

func ExampleReloader() {
	const text = `apiVersion: kooperd.dev/v1alpha1
controllers:
  pods: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}
`
	dir, err := os.MkdirTemp("", "reload")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "controllers.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		panic(err)
	}
	registry, err := handlers.NewRegistry(log.Plugin)
	if err != nil {
		panic(err)
	}

	ctx, stop := context.WithCancel(context.Background())
	r, err := reload.Start(ctx, reload.Options{
		Source: reload.Paths(file),
		Evaluate: func(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
			return config.Evaluate(ctx, files, config.Options{Registry: registry})
		},
		Observer: silent{},
	})
	if err != nil {
		panic(err)
	}
	applied := make(chan int, 1)
	r.ApplyTo(func(cfg *config.Config) engine.Changes { // engine.Engine.Apply is meant to stand here
		applied <- len(cfg.Definitions)
		return engine.Changes{}
	})
	fmt.Println("definitions:", <-applied)

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	more := text + "  nodes: {watch: {apiVersion: v1, kind: Node}, handler: {log: {}}}\n"
	if err := os.WriteFile(file, []byte(more), 0o600); err != nil {
		panic(err)
	}
	r.Reload() // or wait for two seconds
	fmt.Println("definitions:", <-applied)
	stop()
	<-ended
	// Output:
	// definitions: 1
	// definitions: 2
}

func ExampleParseConfigMap() {
	name, ok, err := reload.ParseConfigMap("configmap:kooper-system/controllers")
	fmt.Println(name, ok, err)
	_, ok, _ = reload.ParseConfigMap("controllers.cue")
	fmt.Println(ok)
	// Output:
	// kooper-system/controllers true <nil>
	// false
}
