package daemon

import (
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

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// logGrace is how long the end of the process waits for the last lines of the log.
const logGrace = 2 * time.Second

// process is everything that runs.
type process struct {
	cfg     *config.Config
	flags   runFlags
	logger  logr.Logger
	metrics *telemetry.Metrics
	board   *status.Board
	cluster *kube.Cluster
	engine  *engine.Engine
	server  *server.Server
	elector *leadership // nil without leader election

	credentials *credentialPlugin // nil when the kubeconfig has none
}

// run runs all parts until ctx ends, leadership is lost or something fails.
func (p *process) run(ctx context.Context) error {
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
	if p.elector != nil {
		l.elector, l.standsBy = p.elector, p.cfg.LeaderElection.OnLost == config.Standby
		l.beside = append(l.beside, p.watchLeaseRights)
		l.free = append(l.free, p.elector.close)
	}
	if p.credentials != nil {
		l.beside = append(l.beside, p.credentials.watch)
	}
	return l.run(ctx)
}

// run is the command without a subcommand: it loads the config, contacting nothing, and runs it
// until ctx ends.
func run(ctx context.Context, stderr io.Writer, registry *handlers.Registry, flags runFlags) error {
	if err := flags.check(ctx); err != nil {
		return err
	}
	log := telemetry.NewLogWriter(stderr)
	defer log.Close(logGrace)
	logger, err := telemetry.NewLogger(log, flags.logFormat, flags.verbosity)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(ctx, stderr, registry, flags.configs)
	if ctx.Err() != nil {
		return nil // stopped as asked, before anything ran; loading says no more than that
	}
	if err != nil {
		return err
	}
	where, err := loadClusterConfig(flags.kubeconfig, flags.context)
	if err != nil {
		return err
	}
	if err := telemetry.RouteKlog(logger, flags.verbosity); err != nil {
		return err
	}
	limitMemory(logger, memlimit.FromCgroup)
	endpoints, err := newServing(flags.servingFlags, where, logger)
	if err != nil {
		return err
	}
	if err := start(ctx, cfg, where, flags, endpoints, log, logger); err != nil {
		_, _ = fmt.Fprintf(log, "kooperd: %v\n", err) // Not by the caller: the log may be a pipe that is not read.
		return &runError{errors.Join(err, errSilent)}
	}
	logger.Info("stopped")
	return nil
}

// start makes all parts and runs them until ctx ends.
func start(ctx context.Context, cfg *config.Config, where clusterConfig, flags runFlags, endpoints serving,
	log *telemetry.LogWriter, logger logr.Logger) error {
	plugin, err := newCredentialPlugin(where.rest, logger)
	if err != nil {
		return err
	}
	p, err := newProcess(ctx, cfg, where, flags, endpoints, logger)
	if err != nil {
		return err
	}
	p.metrics.ObserveLog(log.Dropped)
	if p.credentials = plugin; plugin != nil {
		output := done(plugin.watchOutput)
		defer within(partsGrace, output)
		defer plugin.close()
	}
	return p.run(ctx)
}

// newProcess makes all parts and binds the servers' addresses; no API server is contacted.
func newProcess(ctx context.Context, cfg *config.Config, where clusterConfig, flags runFlags, endpoints serving, logger logr.Logger) (*process, error) {
	p := &process{cfg: cfg, flags: flags, logger: logger, metrics: newMetrics(cfg)}
	p.board = status.NewBoard(p.metrics)
	var err error
	if p.cluster, err = kube.New(where.rest, kube.Options{Logger: logger, Metrics: p.metrics}); err != nil {
		return nil, err
	}
	var gate *kube.Gate
	if cfg.LeaderElection.Disabled || !flags.leaderElect {
		p.metrics.ObserveLeadership("", p.leading, nil)
	} else {
		if p.elector, err = newLeadership(cfg.LeaderElection, where, p.metrics, logger); err != nil {
			return nil, err
		}
		gate = kube.NewGate(p.elector.Remaining, p.metrics)
		gate.Reserve(cfg.LeaderElection.LeaseDuration - cfg.LeaderElection.RenewDeadline)
	}
	if p.engine, err = engine.New(engine.Options{
		Cluster: p.cluster, Gate: gate, Metrics: p.metrics, Board: p.board, Logger: logger,
		ShutdownTimeout: flags.shutdownTimeout,
	}); err != nil {
		return nil, err
	}
	p.board.AddReadyCheck("an answer of the API server", func() bool {
		return p.cluster.Answered() || !p.engine.Has(engine.UnderLease) && !p.engine.Has(engine.EveryReplica)
	})
	p.engine.Apply(cfg)
	p.server, err = server.Listen(ctx, server.Options{
		MetricsAddress: flags.metricsAddress, HealthAddress: flags.healthAddress,
		Gatherer: p.metrics.Registry(), Board: p.board, Leading: p.leading, Live: p.live, Logger: logger,
		Access: endpoints.access, Certificate: endpoints.certificate, Profiling: flags.profiling, Metrics: p.metrics,
	})
	return p, err
}

func newMetrics(cfg *config.Config) *telemetry.Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := telemetry.NewMetrics(registry)
	metrics.CollectClientGo()
	metrics.SetConfig(cfg.Hash)
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
