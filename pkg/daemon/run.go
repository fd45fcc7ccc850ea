package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/reload"
	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// logGrace is how long the end of the process waits for the last lines of the log.
const logGrace = 2 * time.Second

// process is everything that runs.
type process struct {
	cfg     *config.Config // the first one
	flags   runFlags
	sources configSources
	logger  logr.Logger
	metrics *telemetry.Metrics
	board   *status.Board
	cluster *kube.Cluster
	engine  *engine.Engine
	server  *server.Server
	elector *leadership // nil without leader election

	reloader *reload.Reloader
	store    *reload.Store // nil when no config is in the cluster
	recorder *recorder     // nil when no calls are recorded

	credentials *credentialPlugin // nil when the kubeconfig has none
	line        *bottomLine       // nil when the log goes to no terminal
}

// run runs all parts until ctx ends, leadership is lost or something fails. hangups has a note for
// SIGHUP.
func (p *process) run(ctx context.Context, hangups <-chan struct{}) error {
	p.logger.Info("starting kooperd", "version", Version(), "config", p.cfg.Files, "configHash", p.cfg.Hash,
		"controllers", len(p.cfg.Definitions), "leaderElection", p.elector != nil)
	l := &lifecycle{
		workload: p.engine, board: p.board, serve: p.server.Serve, free: []func(){p.cluster.Close}, next: signals.Next,
		timeouts: timeouts{
			shutdown: p.flags.shutdownTimeout, shutdownDelay: p.flags.shutdownDelay,
			warmUp: p.cfg.LeaderElection.LeaseDuration,
		},
		logger: p.logger,
	}
	progress := &syncProgress{board: p.board, received: p.cluster.Sources.Received, line: p.line, logger: p.logger}
	l.beside = append(l.beside, progress.run)
	if p.elector != nil {
		l.elector, l.standsBy, l.stores = p.elector, p.cfg.LeaderElection.OnLost == config.Standby, p.store != nil
		l.beside = append(l.beside, p.watchLeaseRights)
		l.free = append(l.free, p.elector.close)
	}
	if p.credentials != nil {
		l.beside = append(l.beside, p.credentials.watch)
	}
	if p.recorder != nil {
		l.beside = append(l.beside, p.recorder.run)
	}
	if p.follows() {
		l.beside = append(l.beside, func(ctx context.Context) { p.follow(ctx, hangups) })
	} else {
		p.logger.Info("the config is not read again when it changes", "reload", p.flags.reload, "pipe", !p.sources.canChange())
		l.beside = append(l.beside, func(ctx context.Context) { p.answerHangups(ctx, hangups) })
	}
	l.prepare = p.prepareTerm
	return l.run(ctx)
}

// run is the command without a subcommand: it loads the config and runs it until ctx ends. Nothing
// is contacted before a config from files is known to be good.
func run(ctx context.Context, stderr io.Writer, registry *handlers.Registry, flags runFlags) error {
	if err := flags.check(ctx); err != nil {
		return err
	}
	hangups, stop := signals.Reload(ctx) // Whoever sends SIGHUP wants a reload, and in no case the end of the process.
	defer stop()
	sources, err := parseSources(flags.configs)
	if err != nil {
		return err
	}
	line := newBottomLine(stderr)
	log := telemetry.NewLogWriter(line.or(stderr))
	defer log.Close(logGrace)
	logger, err := telemetry.NewLogger(log, flags.logFormat, flags.verbosity)
	if err != nil {
		return err
	}
	p := &process{flags: flags, sources: sources, logger: logger, metrics: newMetrics(), line: line}
	p.board = status.NewBoard(p.metrics)
	load := func(where clusterConfig) error { return p.load(ctx, stderr, where, registry) }
	if len(sources.maps) == 0 {
		if err := load(clusterConfig{}); err != nil {
			return unlessStopped(ctx, err)
		}
	}
	where, err := loadClusterConfig(flags.kubeconfig, flags.context)
	if err != nil {
		return err
	}
	if err := telemetry.RouteKlog(logger, flags.verbosity); err != nil {
		return err
	}
	limitMemory(logger, memlimit.FromCgroup)
	if p.recorder, err = newRecorder(flags.record, caseMaker{registry: registry}, logger); err != nil {
		return err
	}
	endpoints, err := newServing(flags.servingFlags, where, logger)
	if err != nil {
		return err
	}
	if err := p.start(ctx, hangups, where, load, endpoints, log); err != nil {
		if errors.Is(err, errBadConfig) || errors.Is(err, errNotStarted) {
			return unlessStopped(ctx, err)
		}
		_, _ = fmt.Fprintf(log, "kooperd: %v\n", err) // Not by the caller: the log may be a pipe that is not read.
		return &runError{errors.Join(err, errSilent)}
	}
	logger.Info("stopped")
	return nil
}

// unlessStopped returns err unless ctx has ended: then the process was stopped as asked, before
// anything ran, and loading says no more than that.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // see above
	}
	return err
}

// start makes all parts and runs them until ctx ends. load reads the config if that is in the
// cluster, and hangups has a note for SIGHUP.
func (p *process) start(ctx context.Context, hangups <-chan struct{}, where clusterConfig, load func(clusterConfig) error,
	endpoints serving, log *telemetry.LogWriter) error {
	plugin, err := newCredentialPlugin(where.rest, p.logger)
	if err != nil {
		return err
	}
	if p.credentials = plugin; plugin != nil {
		output := done(plugin.watchOutput)
		defer within(partsGrace, output)
		defer plugin.close()
	}
	if p.reloader == nil {
		if err := load(where); err != nil {
			return err
		}
	}
	if err := p.build(ctx, where, endpoints); err != nil {
		return err
	}
	p.metrics.ObserveLog(log.Dropped)
	return p.run(ctx, hangups)
}

// build makes all parts and binds the servers' addresses; no API server is contacted.
func (p *process) build(ctx context.Context, where clusterConfig, endpoints serving) error {
	p.cfg = p.reloader.Running()
	p.metrics.SetConfig(p.cfg.Hash)
	var err error
	if p.cluster, err = kube.New(where.rest, kube.Options{Logger: p.logger, Metrics: p.metrics}); err != nil {
		return err
	}
	var gate *kube.Gate
	election := p.cfg.LeaderElection
	if election.Disabled || !p.flags.leaderElect {
		p.metrics.ObserveLeadership("", p.leading, nil)
	} else {
		if p.elector, err = newLeadership(election, where, p.metrics, p.logger); err != nil {
			return err
		}
		gate = kube.NewGate(p.elector.Remaining, p.metrics)
		gate.Reserve(election.LeaseDuration - election.RenewDeadline)
	}
	leaseNamespace := cmp.Or(election.Namespace, where.namespace)
	core, err := p.recordsClient(gate)
	if err != nil {
		return err
	}
	var calls func(engine.Call)
	if p.recorder != nil {
		calls = p.recorder.take
	}
	if p.engine, err = engine.New(engine.Options{
		Calls:   calls,
		Cluster: p.cluster, Gate: gate, Metrics: p.metrics, Board: p.board, Logger: p.logger,
		ShutdownTimeout: p.flags.shutdownTimeout, HistoryLimit: p.flags.historyLimit,
		Installation: compose.Installation(leaseNamespace, election.Name),
		Records:      compose.NewState(core.ConfigMaps(leaseNamespace), leaseNamespace, access.RecordsName(election.Name)),
	}); err != nil {
		return err
	}
	p.board.AddReadyCheck("an answer of the API server", func() bool {
		return p.cluster.Answered() || !p.engine.Has(engine.UnderLease) && !p.engine.Has(engine.EveryReplica)
	})
	if p.elector != nil {
		p.metrics.ObserveLeaseWanted(p.wantsLease)
	}
	p.metrics.ObservePending(func() int { return len(p.engine.Pending()) })
	if p.store != nil {
		if err := p.storeAccepted(gate); err != nil {
			return err
		}
	}
	p.reloader.ApplyTo(p.engine.Apply)
	p.server, err = server.Listen(ctx, server.Options{
		MetricsAddress: p.flags.metricsAddress, HealthAddress: p.flags.healthAddress,
		Gatherer: p.metrics.Registry(), Board: p.board, Leading: p.leading, Live: p.live, Logger: p.logger, Status: newReporter(p),
		Access: endpoints.access, Certificate: endpoints.certificate, Profiling: p.flags.profiling, Metrics: p.metrics,
	})
	return err
}

// recordsClient is the client by which is noted what composers own.
func (p *process) recordsClient(gate *kube.Gate) (corev1client.CoreV1Interface, error) {
	clients, err := p.cluster.Clients("definitions", gate, nil)
	if err != nil {
		return nil, err
	}
	client, err := corev1client.NewForConfig(clients.REST)
	if err != nil {
		return nil, fmt.Errorf("making the client for what composers own: %w", err)
	}
	return client, nil
}

func newMetrics() *telemetry.Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := telemetry.NewMetrics(registry)
	metrics.CollectClientGo()
	metrics.SetBuild(Version(), runtime.Version())
	return metrics
}

func (p *process) leading() bool { return p.elector == nil || p.elector.Leading() }

func (p *process) live() error {
	if p.elector == nil {
		return nil
	}
	return p.elector.Healthy()
}
