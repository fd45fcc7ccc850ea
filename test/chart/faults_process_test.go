package chart

import (
	"fmt"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// logged is the handler of scenes in which it does not matter.
const logged = "handler: log: {}"

// reload makes a process read its config again.
func (s *scene) reload(p *daemon.Process) { p.Signal(s.T, syscall.SIGHUP) }

// nobodyScraped stops the only replica.
func nobodyScraped(s *scene) func() {
	p := s.run(s.things(logged))
	s.awaitValue("sum(kooperd_leader{JOB})", "1")
	p.Stop(s.T)
	return func() { s.run(s.things(logged)) }
}

// leaseWithoutNamespace keeps the lease in a namespace that does not exist.
func leaseWithoutNamespace(s *scene) func() {
	namespace := s.namespace + "-later"
	s.start(daemon.Options{Config: s.writeAs("a", s.lease("kooperd", namespace), s.things(logged))})
	return func() {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := shared.Client().CoreV1().Namespaces().Create(s.Context(), object, metav1.CreateOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// twoLeases lets two replicas have a lease each.
func twoLeases(s *scene) func() {
	first := s.run(s.things(logged))
	second := s.start(daemon.Options{Config: s.writeAs("b", s.lease("other", s.namespace), s.things(logged))}, first)
	return func() {
		second.Stop(s.T)
		s.prometheus.scrape(s.T, s.job, []*daemon.Process{first})
	}
}

// oneReplica starts one of two.
func oneReplica(s *scene) func() {
	first := s.run(s.things(logged))
	return func() { s.start(daemon.Options{Config: s.write(s.things(logged))}, first) }
}

// movingLeader stops the leader again and again, each time after the other replica is back.
func movingLeader(s *scene) func() {
	path := s.write(s.things(logged))
	addresses := [2]string{freeAddress(s.T), freeAddress(s.T)}
	var replicas [2]*daemon.Process
	for i := range replicas {
		replicas[i] = daemon.Start(s.T, replica(path, fmt.Sprint("pod-", i), addresses[i]))
		if i == 0 {
			replicas[i].AwaitLog(s.T, "became leader")
		}
	}
	s.prometheus.scrape(s.T, s.job, replicas[:])
	for turn := range 4 {
		leader, standby := turn%2, 1-turn%2
		s.awaitValue(fmt.Sprintf("kooperd_leader{JOB, instance=%q}", addresses[leader]), "1")
		s.awaitValue(fmt.Sprintf("kooperd_leader{JOB, instance=%q}", addresses[standby]), "0")
		replicas[leader].Stop(s.T)
		s.awaitValue(fmt.Sprintf("kooperd_leader{JOB, instance=%q}", addresses[standby]), "1")
		replicas[leader] = daemon.Start(s.T, replica(path, fmt.Sprint("pod-", leader), addresses[leader]))
	}
	return func() {}
}

// replica are the options of a kooperd in a pod of that name, which always has the same address.
func replica(config, pod, address string) daemon.Options {
	return daemon.Options{
		Config: config, Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--metrics-bind-address", address},
		Env: []string{"POD_NAME=" + pod, "POD_UID=" + pod},
	}
}

// crashing kills the process again and again.
func crashing(s *scene) func() {
	path, address := s.writeAs("a", `"disabled"`, s.things(logged)), freeAddress(s.T)
	p := s.start(replica(path, "pod", address))
	for range 3 {
		began := ""
		s.await("the start of the process is scraped", func() bool {
			began = s.prometheus.value(s.T, fmt.Sprintf("process_start_time_seconds{job=%q}", s.job))
			return began != ""
		}, func() string { return "it is not" })
		p.Kill()
		p = s.start(replica(path, "pod", address))
		s.await("the next start is scraped", func() bool {
			now := s.prometheus.value(s.T, fmt.Sprintf("process_start_time_seconds{job=%q}", s.job))
			return now != "" && now != began
		}, func() string { return "it is not" })
	}
	return func() {}
}

// tightMemory gives the Go runtime less than it needs.
func tightMemory(s *scene) func() {
	path := s.write(s.things(logged))
	p := s.start(daemon.Options{Config: path, Env: []string{"GOMEMLIMIT=3MiB"}})
	return func() {
		p.Stop(s.T)
		s.start(daemon.Options{Config: path})
	}
}

// brokenConfig makes a mistake in the config.
func brokenConfig(s *scene) func() {
	p := s.run(s.things(logged))
	p.AwaitLog(s.T, "became leader")
	s.write(s.things(logged + "\nworkers: -1"))
	s.reload(p)
	return func() {
		s.write(s.things(logged))
		s.reload(p)
	}
}

// twoConfigs changes the config, which one of two replicas does not read again.
func twoConfigs(s *scene) func() {
	path := s.write(s.things(logged))
	first := s.start(daemon.Options{Config: path})
	behind := daemon.Options{Config: path, Args: []string{"--reload=false"}}
	second := s.start(behind, first)
	s.awaitValue("count(kooperd_config_info{JOB})", "2")
	s.write(s.things("resync: \"1h\"\n" + logged))
	s.reload(first)
	return func() {
		second.Stop(s.T)
		s.start(behind, first)
	}
}

// account is the kubeconfig of a service account that may do what a kooperd does with ConfigMaps in
// the namespace.
func (s *scene) account() string {
	s.Helper()
	return shared.ServiceAccountKubeconfig(s.T, s.namespace, "kooperd", cluster.InNamespace(s.namespace,
		cluster.Allow("*", "", "configmaps,configmaps/finalizers,events"), cluster.Allow("*", "events.k8s.io", "events"),
		cluster.Allow("*", "coordination.k8s.io", "leases")))
}

// maySecrets grants the account all rights to Secrets.
func (s *scene) maySecrets() (revoke func()) {
	s.Helper()
	return shared.Grant(s.T, s.namespace, "kooperd", cluster.InNamespace(s.namespace, cluster.Allow("*", "", "secrets")))
}

// secretThings is the definition of a scene about Secrets.
func (s *scene) secretThings() string {
	return fmt.Sprintf("things: {\nwatch: {apiVersion: \"v1\", kind: \"Secret\", namespaces: [%q]}\n%s\n}\n", s.namespace, logged)
}

// changeWithoutRights changes a definition to what the account has no right for.
func changeWithoutRights(s *scene) func() {
	p := s.start(daemon.Options{Config: s.write(s.things(logged)), Kubeconfig: s.account()})
	p.AwaitLog(s.T, "became leader")
	p.AwaitReady(s.T)
	s.write(s.secretThings())
	s.reload(p)
	return func() { s.maySecrets() }
}
