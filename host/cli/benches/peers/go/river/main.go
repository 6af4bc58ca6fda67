// River on PostgreSQL.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"pigeon/peers/peer"
)

const (
	// Documents of one InsertManyFast, which is one COPY.
	batch = 1_000
	// Jobs that a client works at, at once; and the most that it fetches.
	concurrency = 1_000
	// The least time between two fetches. The default of 100 ms allows no more than 10 fetches a second.
	cooldown = 10 * time.Millisecond
)

type validation struct {
	Document string `json:"document"`
}

func (validation) Kind() string { return "validation" }

type worker struct {
	river.WorkerDefaults[validation]
	counter peer.Counter
}

func (w *worker) Work(_ context.Context, job *river.Job[validation]) error {
	if err := peer.Validate([]byte(job.Args.Document)); err != nil {
		return err
	}
	return w.counter.Count()
}

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("PEER_URL"))
	check(err)
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))

	switch os.Args[1] {
	case "prepare":
		migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
		check(err)
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		check(err)
	case "work":
		workers := river.NewWorkers()
		work := &worker{}
		river.AddWorker(workers, work)
		client, err := river.NewClient(driver, &river.Config{
			FetchCooldown: cooldown,
			Logger:        quiet,
			Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}},
			Workers:       workers,
		})
		check(err)
		check(client.Start(ctx))
		work.counter = peer.NewCounter()
		peer.Stopped()
		check(client.Stop(ctx))
	case "produce":
		client, err := river.NewClient(driver, &river.Config{Logger: quiet})
		check(err)
		document := peer.Document()
		peer.Produce(os.Args[2], func(count int) { insert(ctx, client, document, count) })
	}
}

func insert(ctx context.Context, client *river.Client[pgx.Tx], document string, count int) {
	for count > 0 {
		some := make([]river.InsertManyParams, min(count, batch))
		for i := range some {
			some[i] = river.InsertManyParams{Args: validation{document}}
		}
		_, err := client.InsertManyFast(ctx, some)
		check(err)
		count -= len(some)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
