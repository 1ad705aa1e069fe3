# The command geovq on a CPU:    docker build -t geovq --target geovq .
#                                docker run --rm -v "$PWD":/work geovq fit pictures model
# All that make needs, as .devcontainer uses it:    docker build --target dev .
FROM python:3.11-slim AS base
ENV OMP_WAIT_POLICY=PASSIVE PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml requirements.txt README.md LICENSE ./
# The versions of requirements.txt, but PyTorch from its own index, without CUDA.
RUN grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' requirements.txt | grep -vE '^(nvidia|triton|cuda)' > /constraints.txt \
    && pip install --index-url https://download.pytorch.org/whl/cpu \
        $(grep -E '^(torch|torchvision)==' /constraints.txt)
COPY geovq geovq

FROM base AS geovq
RUN pip install --constraint /constraints.txt '.[images]' && useradd --create-home user
USER user
WORKDIR /work
ENTRYPOINT ["geovq"]

FROM base AS dev
RUN apt-get update && apt-get install --yes --no-install-recommends chromium git make \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --constraint /constraints.txt uv --editable '.[dev,docs]' && pip uninstall --yes geovq
