package daemon

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/election"
)

// claims know which definitions a running kooperd claims.
type claims struct {
	// holders look at the locks of all kinds. The file of a person may name another kind than that
	// of the leader, or none.
	holders []*leaseHolder
	// disabled is true of a config without leader election. Then a lock without a holder says
	// nothing: it may be an old one.
	disabled bool
	// lock and configMap name the lock, and where the records are.
	lock, configMap string
	// records reads the records; false if there are none.
	records func(ctx context.Context) (map[string]compose.Record, bool, error)
	// note says something to the person, once that nobody holds the lock.
	note     func(text string)
	saidFree bool
}

// newClaims returns them with what frees the connections.
func (r *orphansRun) newClaims() (*claims, func(), error) {
	c := &claims{
		disabled: r.cfg.LeaderElection.Disabled, records: r.readRecords, note: r.note,
		lock: r.lease.String(), configMap: r.lease.Namespace + "/" + access.RecordsName(r.lease.Name),
	}
	var clients []*election.APIClient
	free := func() {
		for _, client := range clients {
			client.Close()
		}
	}
	for _, newClient := range []func(*rest.Config, time.Duration) (*election.APIClient, error){
		election.NewLeaseClient, election.NewConfigMapClient,
	} {
		client, err := newClient(r.where.rest, r.cfg.LeaderElection.RetryPeriod)
		if err != nil {
			free()
			return nil, nil, err
		}
		clients = append(clients, client)
		holder := &leaseHolder{leases: client, namespace: r.lease.Namespace, name: r.lease.Name}
		holder.waits = func(identity string, lasts time.Duration) {
			r.note(fmt.Sprintf("the lease %s of %s looks expired; looking at it for %s, to be sure", r.lease, identity, lasts))
		}
		c.holders = append(c.holders, holder)
	}
	return c, free, nil
}

// why says why the children of a definition must be left alone; empty if no kooperd claims it.
// Where nothing says whether one runs, the records count: without leader election there is no lock.
func (c *claims) why(ctx context.Context, definition string) (string, error) {
	holder, known, err := c.look(ctx)
	if err != nil {
		return "", err
	}
	if holder == "" && known {
		c.sayFree()
		return "", nil
	}
	records, recorded, err := c.records(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case holder != "" && !recorded:
		return fmt.Sprintf("%s leads, and there is no ConfigMap %s, so that nothing says which definitions it has: stop it first", holder, c.configMap), nil
	case !compose.IsClaimed(records, definition):
		return "", nil
	case holder == "":
		return fmt.Sprintf("definition %s is active by ConfigMap %s, and without leader election nothing says whether kooperd runs: "+
			"let it read a config without the definition, or if it is gone for good, remove the key from that ConfigMap", definition, c.configMap), nil
	}
	return fmt.Sprintf("definition %s is active: %s leads by the lease %s. Let it read a config without the definition, or stop kooperd, and try again",
		definition, holder, c.lock), nil
}

// sayFree says once what is taken for granted: a process without leader election holds no lock, and
// one of an earlier time may have left its own.
func (c *claims) sayFree() {
	if !c.saidFree {
		c.saidFree = true
		c.note(fmt.Sprintf("nobody holds the lease %s, so kooperd is taken to be stopped; one that runs with --leader-elect=false is not seen", c.lock))
	}
}

// look returns who leads; empty for none. It returns false where no lock says so.
func (c *claims) look(ctx context.Context) (holder string, known bool, err error) {
	for _, lock := range c.holders {
		holder, found, err := lock.look(ctx)
		if err != nil || holder != "" {
			return holder, true, err
		}
		known = known || found
	}
	return "", known && !c.disabled, nil
}
