# syntax=docker/dockerfile:1
# The image of Gatehouse for any platform: docker buildx build --build-arg VERSION=v1.2.3 --platform linux/amd64,linux/arm64 .
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=devel
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make "dist/gatehouse-$TARGETOS-$TARGETARCH" VERSION="$VERSION" && \
    mkdir /image && cp "dist/gatehouse-$TARGETOS-$TARGETARCH" /image/gatehouse && mkdir -m 1777 /image/tmp

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/gatehouse"]
CMD ["serve", "--config", "/etc/gatehouse/gatehouse.yaml"]
