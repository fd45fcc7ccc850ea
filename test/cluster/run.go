package cluster

import (
	"context"
	"errors"
	"fmt"
)

// Run gives a program that is no test its own cluster for as long as work lasts, and returns
// the error of work, or that of the cluster. Methods that take a testing.TB are not for it.
func Run(ctx context.Context, opts Options, work func(*Cluster) error) error {
	c, err := newCluster(opts)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return errors.Join(fmt.Errorf("starting a cluster: %w", err), c.remove(true))
	}
	err = work(c)
	return errors.Join(err, c.stop(), c.remove(false))
}

// AuditSize returns the present end of the audit log, for ReadAudit. What has been answered just
// now may come behind it.
func (c *Cluster) AuditSize() (AuditMark, error) {
	size, err := c.auditSize()
	if err != nil {
		return 0, fmt.Errorf("reading the audit log: %w", err)
	}
	return AuditMark(size), nil
}

// ReadAudit returns the requests that have come into the audit log since a mark; 0 is its
// beginning. A request can come into it a moment after its answer has come to the client, and a
// watch does when it has ended. Options.Audit must be set.
func (c *Cluster) ReadAudit(since AuditMark) ([]AuditEvent, error) {
	if !c.opts.Audit {
		return nil, errors.New("reading the audit log: the cluster was started without Options.Audit")
	}
	events, err := readAudit(c.auditLog(), int64(since))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return events, nil
}
