package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// stopGrace is how long a component may take to stop before it is killed. Nothing is lost by the
// kill: what the API server has acknowledged is in etcd, and what etcd has acknowledged is in its
// log.
const stopGrace = 10 * time.Second

// failureGrace is the same after a component has failed: what waits for its answers waits in vain.
const failureGrace = time.Second

// cluster is a running devcluster.
type cluster struct {
	layout    layout
	ports     ports
	lock      *os.File
	processes []*process
	// ended receives the name of every component that ends.
	ended chan *process
}

// serve runs a cluster until ctx ends, which is a success, or a component fails.
// The only line on stdout is the one that says it is ready.
func serve(ctx context.Context, opts options, stdout, stderr io.Writer) (err error) {
	l, lock, err := openLayout(opts.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := removeReadyFile(opts.readyFile); err != nil {
		return err
	}
	c := &cluster{layout: l, lock: lock, ended: make(chan *process, 3)}
	if err := c.prepare(ctx, opts, stderr); err != nil {
		return err
	}
	defer func() {
		grace := stopGrace
		if err != nil {
			grace = failureGrace
		}
		err = errors.Join(err, removeReadyFile(opts.readyFile), c.stop(grace))
	}()
	if err := c.start(ctx, opts); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while starting
		}
		return err
	}
	if err := c.announce(opts.readyFile, stdout); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case p := <-c.ended:
		return p.failure()
	}
}

// prepare writes everything that the components read: certificates, ports and configuration files.
func (c *cluster) prepare(ctx context.Context, opts options, stderr io.Writer) error {
	if err := ensurePKI(c.layout, time.Now()); err != nil {
		return err
	}
	if err := prepareAudit(c.layout, opts.auditLog); err != nil {
		return err
	}
	chosen, moved, err := choosePorts(ctx, c.layout, opts.apiserverPort)
	if err != nil {
		return err
	}
	if moved {
		_, _ = fmt.Fprintf(stderr, "devcluster: the API server's port has changed to %d; earlier copies of the kubeconfig are void\n", chosen.APIServer)
	}
	c.ports = chosen
	if err := writeKubeconfig(c.layout, c.layout.controllerManagerKubeconfig(), controllerManagerCert, chosen.APIServer); err != nil {
		return err
	}
	return writeEtcdConfig(c.layout, chosen.Etcd, opts.fsync, opts.etcdQuotaBytes)
}

// start runs the components and returns when the cluster is ready, or with the reason why it is not
// going to be.
func (c *cluster) start(ctx context.Context, opts options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, opts.readyTimeout,
		fmt.Errorf("the cluster is not ready after %s; the logs are in %s", opts.readyTimeout, c.layout.dir))
	defer cancel()
	probe, err := newProbe(c.layout, c.ports)
	if err != nil {
		return err
	}
	if err := c.run(etcdComponent, []string{c.layout.etcdConfig()}); err != nil {
		return err
	}
	if err := c.await(ctx, probe.etcd); err != nil {
		return err
	}
	if err := c.run(apiserverComponent, apiserverFlags(c.layout, c.ports, opts)); err != nil {
		return err
	}
	if err := c.await(ctx, probe.apiserver); err != nil {
		return err
	}
	if err := c.run(controllerManagerComponent, controllerManagerFlags(c.layout, c.ports, opts)); err != nil {
		return err
	}
	return c.await(ctx, probe.controllers, probe.defaultServiceAccount)
}

// run starts one component.
func (c *cluster) run(name string, flags []string) error {
	p, err := startProcess(c.layout, c.lock, name, flags)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	go func() {
		<-p.done
		c.ended <- p
	}()
	return nil
}

// await returns nil when all checks have passed, one after the other. It gives up when ctx ends or
// a component does.
func (c *cluster) await(ctx context.Context, checks ...func(context.Context) error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for len(checks) > 0 {
		err := checks[0](ctx)
		if err == nil {
			checks = checks[1:]
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last check said: %w", context.Cause(ctx), err)
		case p := <-c.ended:
			return p.failure()
		case <-ticker.C:
		}
	}
	return nil
}

// announce says that the cluster is ready: in the kubeconfig, the ready file and on stdout.
func (c *cluster) announce(readyFile string, stdout io.Writer) error {
	path := c.layout.kubeconfig()
	if err := writeKubeconfig(c.layout, path, adminCert, c.ports.APIServer); err != nil {
		return err
	}
	if readyFile != "" {
		if err := writeFile(readyFile, []byte(path+"\n")); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(stdout, "ready: export KUBECONFIG=%s\n", path); err != nil {
		return fmt.Errorf("telling that the cluster is ready: %w", err)
	}
	return nil
}

// stop ends the components, the ones that need another first. To stop in an orderly way a component
// needs the others' answers, so all of them are woken up before.
func (c *cluster) stop(grace time.Duration) error {
	for _, p := range c.processes {
		p.wake()
	}
	var errs []error
	for _, p := range slices.Backward(c.processes) {
		errs = append(errs, p.stop(grace))
	}
	return errors.Join(errs...)
}

// removeReadyFile removes the ready file, also one that a killed devcluster has left.
func removeReadyFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the ready file: %w", err)
	}
	return nil
}
