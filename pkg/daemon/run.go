package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// stopGrace is how long handlers may take to return after the shutdown timeout has cancelled them, before the process
// ends without them and without releasing the lease.
const stopGrace = 5 * time.Second

var errHandlersStuck = errors.New("handlers have not stopped: the lease is left to expire")

// process is everything that runs.
type process struct {
	cfg     *config.Config
	flags   runFlags
	logger  logr.Logger
	metrics *telemetry.Metrics
	board   *telemetry.Board
	cluster *kube.Cluster
	engine  *engine.Engine
	server  *server.Server
	elector *leadership // nil without leader election
}

// run is the command without a subcommand: it loads the config, contacting nothing, and runs it until ctx ends.
func run(ctx context.Context, stderr io.Writer, registry *handlers.Registry, flags runFlags) error {
	if len(flags.configs) == 0 {
		return errors.New("no config: use --config FILE")
	}
	logger, err := telemetry.NewLogger(stderr, flags.logFormat, flags.verbosity)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(ctx, stderr, registry, flags.configs)
	if err != nil {
		return err
	}
	if !flags.leaderElect {
		cfg.LeaderElection.Disabled = true
	}
	where, err := loadClusterConfig(flags.kubeconfig)
	if err != nil {
		return err
	}
	if err := telemetry.RouteKlog(logger, flags.verbosity); err != nil {
		return err
	}
	p, err := newProcess(ctx, cfg, where, flags, logger)
	if err != nil {
		return &runError{err}
	}
	if err := p.run(ctx); err != nil {
		return &runError{err}
	}
	logger.Info("stopped")
	return nil
}

// newProcess makes all parts and binds the servers' addresses; no API server is contacted.
func newProcess(ctx context.Context, cfg *config.Config, where clusterConfig, flags runFlags, logger logr.Logger) (*process, error) {
	p := &process{cfg: cfg, flags: flags, logger: logger, metrics: newMetrics(cfg)}
	p.board = telemetry.NewBoard(p.metrics)
	var err error
	if p.cluster, err = kube.New(where.rest, kube.Options{Logger: logger, Metrics: p.metrics}); err != nil {
		return nil, err
	}
	var gate *kube.Gate
	if !cfg.LeaderElection.Disabled {
		if p.elector, err = newLeadership(cfg.LeaderElection, where, p.metrics, logger); err != nil {
			return nil, err
		}
		gate = kube.NewGate(p.elector.Remaining, p.metrics)
	}
	if p.engine, err = engine.New(engine.Options{
		Config: cfg, Cluster: p.cluster, Gate: gate, Metrics: p.metrics, Board: p.board, Logger: logger,
		ShutdownTimeout: flags.shutdownTimeout,
	}); err != nil {
		return nil, err
	}
	p.server, err = server.Listen(ctx, server.Options{
		MetricsAddress: flags.metricsAddress, HealthAddress: flags.healthAddress,
		Gatherer: p.metrics.Registry(), Board: p.board, Leading: p.leading, Live: p.live, Logger: logger,
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

// run works until ctx ends, leadership is lost or something fails. Its order of a clean stop: readiness off, no new
// work, calls finish, lease released, sources and servers stop.
func (p *process) run(ctx context.Context) error {
	p.logger.Info("starting kooperd", "version", Version(), "config", p.cfg.Files, "configHash", p.cfg.Hash,
		"controllers", len(p.cfg.Controllers), "leaderElection", !p.cfg.LeaderElection.Disabled)
	base, stopAll := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAll()
	var background sync.WaitGroup
	failed := make(chan error, 1)
	background.Go(func() {
		if err := p.server.Serve(base); err != nil {
			failed <- err
		}
	})
	background.Go(func() { p.engine.Run(base) })
	defer context.AfterFunc(ctx, func() {
		p.logger.Info("stopping: no new work, waiting for handler calls", "shutdownTimeout", p.flags.shutdownTimeout)
		p.board.Stop()
	})()

	err := p.work(ctx, base, failed)
	if errors.Is(err, election.ErrStuck) || errors.Is(err, errHandlersStuck) {
		return err // Whatever still runs ends with the process.
	}
	stopAll()
	background.Wait()
	p.cluster.Close()
	if p.elector != nil {
		p.elector.close()
	}
	return err
}

// work runs both groups of definitions until they have stopped.
func (p *process) work(ctx, base context.Context, failed <-chan error) error {
	drain, startDrain := context.WithCancel(ctx)
	defer startDrain()
	replica, cutReplica := context.WithCancel(base)
	defer cutReplica()
	leased := make(chan error, 1)
	go func() { leased <- p.workUnderLease(drain, base) }()
	everyReplica := make(chan struct{})
	go func() {
		defer close(everyReplica)
		p.engine.Work(replica, drain, engine.EveryReplica)
	}()

	var err error
	select {
	case err = <-leased:
		leased = nil
		if err != nil {
			cutReplica() // Leadership lost or a failure: the process is about to end.
		}
		startDrain()
	case err = <-failed:
		startDrain()
	case <-drain.Done():
	}
	return p.awaitStop(err, leased, everyReplica)
}

// awaitStop waits for both groups, but not for ever.
func (p *process) awaitStop(err error, leased <-chan error, everyReplica <-chan struct{}) error {
	limit := time.NewTimer(p.flags.shutdownTimeout + stopGrace)
	defer limit.Stop()
	for leased != nil || everyReplica != nil {
		if errors.Is(err, election.ErrStuck) {
			return err
		}
		select {
		case e := <-leased:
			leased = nil
			err = errors.Join(err, e)
		case <-everyReplica:
			everyReplica = nil
		case <-limit.C:
			return errors.Join(err, errHandlersStuck)
		}
	}
	return err
}

// workUnderLease works on the definitions under the lease while this replica leads. It returns nil when drain has ended
// and the work with it.
func (p *process) workUnderLease(drain, base context.Context) error {
	if p.elector == nil {
		p.metrics.SetLeader("", true)
		p.engine.Work(base, drain, engine.UnderLease)
		<-drain.Done()
		return nil
	}
	if !p.engine.Has(engine.UnderLease) {
		p.logger.Info("no definition needs the lease, so this replica does not compete for it")
		<-drain.Done()
		return nil
	}
	for {
		err := p.elector.Run(drain, func(term context.Context) error {
			p.engine.Work(term, drain, engine.UnderLease)
			return nil
		})
		switch {
		case err == nil:
			return nil
		case p.standsBy(err):
			// Every handler has returned, and the caches are still followed: nothing is left to do but compete again.
			p.logger.Info("standing by after the loss of the lease", "cause", err.Error())
		default:
			return fmt.Errorf("leading: %w", err)
		}
	}
}

// standsBy tells whether the same process competes again after err.
func (p *process) standsBy(err error) bool {
	return p.cfg.LeaderElection.OnLost == config.Standby && errors.Is(err, election.ErrLost) && !errors.Is(err, election.ErrStuck)
}
