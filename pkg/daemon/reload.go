package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/reload"
)

// configSources are what --config names.
type configSources struct {
	paths []string
	maps  []types.NamespacedName
}

func parseSources(arguments []string) (configSources, error) {
	var s configSources
	for _, argument := range arguments {
		name, ok, err := reload.ParseConfigMap(argument)
		switch {
		case err != nil:
			return configSources{}, fmt.Errorf("--config: %w", err)
		case ok:
			s.maps = append(s.maps, name)
		default:
			s.paths = append(s.paths, argument)
		}
	}
	return s, nil
}

// canChange reports whether what was read can be read again. A pipe can be read once only.
func (s configSources) canChange() bool {
	for _, path := range s.paths {
		info, err := os.Stat(path)
		if path == "-" || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			return false
		}
	}
	return true
}

// source makes the one source of all. The client is for the ConfigMaps and may be nil without any.
func (s configSources) source(client corev1client.ConfigMapsGetter) reload.Source {
	var all []reload.Source
	if len(s.paths) > 0 {
		all = append(all, reload.Paths(s.paths...))
	}
	for _, name := range s.maps {
		all = append(all, reload.ConfigMap(client, name))
	}
	return reload.Join(all...)
}

// configMaps makes a client for ConfigMaps, with credentials that are renewed.
func configMaps(config *rest.Config) (corev1client.ConfigMapsGetter, error) {
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for the config: %w", err)
	}
	return client, nil
}

// errBadConfig is for a config with mistakes, which have been printed. errNotStarted is for one
// that could not be read.
var (
	errBadConfig  = errors.New("bad config")
	errNotStarted = errors.New("loading config")
)

// load reads the config for the first time. Mistakes are written to stderr.
func (p *process) load(ctx context.Context, stderr io.Writer, where clusterConfig, registry *handlers.Registry) error {
	opts := reload.Options{
		Evaluate: evaluatorOf(p.flags, registry), First: reload.Evaluator(evaluateHere(registry)),
		AllowRemovals: p.flags.removals, IgnoreLeaderElection: !p.flags.leaderElect,
		Observer: p.metrics, Refused: p.configRefused, Logger: p.logger,
	}
	var client corev1client.ConfigMapsGetter
	if len(p.sources.maps) > 0 {
		var err error
		if client, err = configMaps(kube.ClientConfig(where.rest)); err != nil {
			return err
		}
		p.store = reload.NewStore(reload.StateOf(p.sources.maps[0]), client)
		opts.Store, opts.First = p.store, opts.Evaluate // Others than who starts this process may write it.
	}
	opts.Source = p.sources.source(client)
	var err error
	p.reloader, err = reload.Start(ctx, opts)
	if _, ok := errors.AsType[config.Diagnostics](err); ok {
		_, _ = fmt.Fprintln(stderr, err.Error()) // One line for each mistake, and why there is nothing else to run.
		return fmt.Errorf("%w: %w", errBadConfig, errSilent)
	}
	if err != nil && len(p.sources.maps) > 0 {
		return &runError{fmt.Errorf("%w: %w", errNotStarted, err)}
	}
	return err
}

// evaluatorOf returns how a changed config is evaluated: in a process with limits where this binary
// can be started again.
func evaluatorOf(flags runFlags, registry *handlers.Registry) reload.Evaluator {
	if flags.evaluateInChild {
		return reload.Evaluator(evaluateInChild(registry))
	}
	return reload.Evaluator(evaluateHere(registry))
}

// follows reports whether the config is read again when it changes.
func (p *process) follows() bool { return p.flags.reload && p.sources.canChange() }

// follow reads the config again when it changes, or when there is a note in hangups, until ctx
// ends.
func (p *process) follow(ctx context.Context, hangups <-chan struct{}) {
	ended := done(func() { p.reloader.Run(ctx) })
	for {
		select {
		case <-ended:
			return
		case <-hangups:
			p.logger.Info("reading the config again because of SIGHUP")
			p.reloader.Reload()
		}
	}
}

// answerHangups says of each note in hangups until ctx ends that the config is not read again.
func (p *process) answerHangups(ctx context.Context, hangups <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			p.logger.Info("SIGHUP does nothing: the config is not read again", "reload", p.flags.reload, "pipe", !p.sources.canChange())
		}
	}
}

// prepareTerm makes sure that a term begins with the config that was accepted last: else what the
// leader before has changed would be undone at first. It repeats the event about a config that was
// refused before.
func (p *process) prepareTerm(term context.Context, drain engine.Drain) error {
	if err := p.reloader.Lead(term, drain); err != nil {
		return err
	}
	p.engine.Settle(term, drain)
	p.recordRefused()
	return nil
}

// configRefused shows why the config that was read last does not run.
func (p *process) configRefused(reason string) {
	p.board.SetRefused(reason)
	switch {
	case p.elector == nil || !p.elector.Leading():
	case reason == "":
		p.elector.events.record(corev1.EventTypeNormal, "ConfigAccepted", "Reload", "the config that was read last runs")
	default:
		p.recordRefused()
	}
}

// recordRefused records that the config that was read last does not run, if it does not.
func (p *process) recordRefused() {
	if reason := p.board.Refused().Reason(); reason != "" && p.elector != nil {
		p.elector.events.record(corev1.EventTypeWarning, "ConfigRefused", "Reload", shorten(reason, maxEventNote))
	}
}

// maxEventNote is what the API server takes.
const maxEventNote = 1000

// storeAccepted lets the store write, through the gate.
func (p *process) storeAccepted(gate *kube.Gate) error {
	clients, err := p.cluster.Clients("config", gate, nil)
	if err != nil {
		return err
	}
	client, err := configMaps(clients.REST)
	if err != nil {
		return err
	}
	p.store.WriteBy(client)
	return nil
}
