# The image of operator-run for the profile `operator` of compose/tikv.yaml. From the top folder:
#   docker build --tag operator-run:local --file compose/images/operator.Dockerfile .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /operator-run
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /operator-run/target/release/operator-run /usr/local/bin/
ENTRYPOINT ["operator-run"]
CMD ["watch"]
