// Package cluster gives tests of this repository a real Kubernetes API server: it runs the
// devcluster binary, makes identities, namespaces and objects in it, reads its audit log and breaks
// it on purpose.
//
// It is no mock and no library for production code: it depends on testing, fails the test at the
// first thing that does not work, and everything it makes goes away with the test that made it.
//
// One line of TestMain gives all tests of a package a cluster:
//
//	var shared *cluster.Cluster
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.Options{Audit: true}, &shared)) }
package cluster
